"""What site.yml does with a host that drops out before anything is rolled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.plays import play, task_of

if TYPE_CHECKING:
    from pathlib import Path

FLEET = {"hub": {"hosts": {"box": {}}}, "nodes": {"hosts": {"mini": {}, "attic": {}}}}


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
        task_of("site.yml", "Stop if the hub has dropped out"),
        {"ansible.builtin.debug": {"msg": "rolled {{ inventory_hostname }}"}},
    ]
    done = play(tasks, tmp_path, hosts=hosts, inventory=[str(tmp_path / "hosts.yml")])
    assert done.returncode != 0
    assert {host for host in ("box", "mini", "attic") if f"rolled {host}" in done.stdout} == rolled
    assert ("The hub box cannot take its part" in done.stdout) == (failing == "box")
