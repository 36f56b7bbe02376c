"""What site.yml does with a host that drops out before anything is rolled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.plays import hosts_of, play, task_of

if TYPE_CHECKING:
    from pathlib import Path

FLEET: dict[str, Any] = {
    "hub": {"hosts": {"box": {}}},
    "nodes": {"hosts": {"mini": {}, "attic": {}}},
}


@pytest.mark.parametrize(
    ("hosts", "failing", "rolled"),
    [
        ("hub:nodes", "box", set()),
        ("hub:nodes", "attic", {"box", "mini"}),
        ("nodes", "attic", {"mini"}),
    ],
)
def test_nodes_are_only_rolled_against_a_hub_that_passed(
    hosts: str, failing: str, rolled: set[str], tmp_path: Path
) -> None:
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(FLEET))
    tasks = [
        {"ansible.builtin.fail": {}, "when": f"inventory_hostname == '{failing}'"},
        task_of("roles/preflight/tasks/hosts.yml", "Stop if the hub has dropped out"),
        {"ansible.builtin.debug": {"msg": "rolled {{ inventory_hostname }}"}},
    ]
    done = play(tasks, tmp_path, hosts=hosts, inventory=[str(tmp_path / "hosts.yml")])
    assert done.returncode != 0
    assert {host for host in ("box", "mini", "attic") if f"rolled {host}" in done.stdout} == rolled
    assert ("The hub box cannot take its part" in done.stdout) == (failing == "box")


@pytest.mark.parametrize("with_agents", [{"mini", "attic"}, {"attic"}, set()])
def test_only_hosts_with_agents_are_compared(tmp_path: Path, with_agents: set[str]) -> None:
    nodes = {
        host: {"agents": ["one"] if host in with_agents else []} for host in ("mini", "attic")
    }
    fleet = {**FLEET, "nodes": {"hosts": nodes | {"bare": {}}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(fleet))
    done = play(
        [{"ansible.builtin.debug": {"msg": "compared {{ inventory_hostname }}"}}],
        tmp_path,
        hosts=hosts_of("site.yml", "Find the nodes that differ from what they should be"),
        inventory=[str(tmp_path / "hosts.yml")],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    compared = {host for host in ("mini", "attic", "bare", "box") if f"ed {host}" in done.stdout}
    assert compared == with_agents


@pytest.mark.parametrize("on", [True, False])
def test_a_host_that_is_rolled_out_alone_is_let_in_by_the_hub_s_rule(
    tmp_path: Path, *, on: bool
) -> None:
    hub = {
        "message_bus_firewall": on,
        "message_bus_firewall_allow": ["192.0.2.200"],
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    mini = {"ansible_host": "192.0.2.30", "agents": ["alpha"]}
    guests = {"laptop": {"agents": ["visitor"], "addresses": ["192.0.2.77"]}}
    fleet = {
        "all": {"vars": {"guests": guests}},
        "hub": {"hosts": {"box": hub}},
        "nodes": {"hosts": {"mini": mini}},
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(fleet))
    done = play(
        [task_of("site.yml", "Let the fleet reach the hub's port")],
        tmp_path,
        hosts=hosts_of("site.yml", "Let the fleet in at the hub"),
        inventory=[str(tmp_path / "hosts.yml")],
        options=["--limit", "mini", "--check", "--diff"],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("elements = { 192.0.2.30/32, 192.0.2.77/32, 192.0.2.200/32 }" in done.stdout) == on
    assert ("mini -> box" in done.stdout) == on
    assert ("changed=1" in done.stdout) == on
