from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]


GOOD = """\
all:
  vars:
    agent_groups:
      pair: [alpha, beta]
hub:
  hosts:
    box:
nodes:
  hosts:
    box:
      agents: [alpha]
    mini:
      agents:
        - name: beta
          waker: command
          command: [/bin/wake, "{agent}"]
"""


def test_a_good_inventory_passes(check: Any) -> None:
    assert check(GOOD) == []


def test_the_production_inventory_passes() -> None:
    done = subprocess.run(
        [
            Path(sys.executable).parent / "ansible-playbook",
            *("-i", "inventory/production", "playbooks/preflight.yml"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "agents: [alpha]",
            "agents: [Alpha]",
            "hosts.yml:11: agent name 'Alpha' of box is not valid",
        ),
        (
            "agents: [alpha]",
            "agents: [alpha, all]",
            "hosts.yml:11: agent name 'all' of box is reserved",
        ),
        (
            "name: beta",
            "name: alpha",
            "hosts.yml:11 and hosts.yml:14: agent 'alpha' is on box and mini",
        ),
        ("agents: [alpha]", "agents: alpha", "hosts.yml:11: agents of box is not a list"),
        ("agents: [alpha]", "agents: [alpha, 7]", "hosts.yml:11: agent 2 of box is 7"),
        (
            "agents: [alpha]",
            "agents: [alpha, alpha]",
            "hosts.yml:11: agent 'alpha' stands twice in the list of box",
        ),
        ("waker: command", "waker: comand", "waker 'comand' of agent beta on mini is unknown"),
        (
            'command: [/bin/wake, "{agent}"]',
            "command: /bin/wake",
            "agent beta of mini has waker `command` and needs the program as a list",
        ),
        ("waker: command", "waker: hook", "agent beta of mini has a command; add"),
        ("waker: command", "wakr: command", "unknown setting 'wakr'; did you mean 'waker'?"),
        (
            "pair: [alpha, beta]",
            "pair: [alpha, betta]",
            "hosts.yml:4: group 'pair' names 'betta', which no host or guest has; did you mean 'b",
        ),
        ("pair:", "alpha:", "hosts.yml:4: group 'alpha' has the name of an agent"),
        ("pair: [alpha, beta]", "pair: alpha", "hosts.yml:4: group 'pair' is not a list"),
        (
            "agent_groups:",
            "agents_groups:",
            "hosts.yml:3: unknown variable 'agents_groups'; did you mean 'agent_groups'?",
        ),
        (
            "  vars:\n",
            "  vars:\n    message_bus_prot: 1\n",
            "hosts.yml:3: unknown variable 'message_bus_prot'; did you mean 'message_bus_port'?",
        ),
        (
            "  vars:\n",
            "  vars:\n    bus_watcher_whatever: 1\n",
            "hosts.yml:3: unknown variable 'bus_watcher_whatever'; docs/reference/inventory.md",
        ),
        (
            "  vars:\n",
            "  vars:\n    openclaw_gateway_url: localhost\n",
            "hosts.yml:3: openclaw_gateway_url 'localhost' of box is not an address",
        ),
        (
            "  vars:\n",
            "  vars:\n    openclaw_user: 'Bob Smith'\n",
            "hosts.yml:3: openclaw_user 'Bob Smith' of box is not the name of a user",
        ),
        (
            "    mini:\n      agents:",
            "    mini:\n      bus_address: 10.0.0.1\n      agents:",
            "hosts.yml:13: bus_address is set for mini",
        ),
        (
            "  vars:\n",
            "  vars:\n    message_bus_port: eighty\n",
            "hosts.yml:3: message_bus_port of box and 1 more is 'eighty', not a whole number",
        ),
        (
            "  vars:\n",
            "  vars:\n    message_bus_port: 80910\n",
            "hosts.yml:3: message_bus_port of box and 1 more is 80910, not a port",
        ),
        (
            "  vars:\n",
            "  vars:\n    openclaw_bus_manage_hooks: maybe\n",
            "hosts.yml:3: openclaw_bus_manage_hooks of box and 1 more is 'maybe', not true or",
        ),
        (
            "  vars:\n",
            "  vars:\n    message_bus_settings: [retain]\n",
            "hosts.yml:3: message_bus_settings of box and 1 more is ['retain'], not a mapping",
        ),
        (
            "  vars:\n",
            "  vars:\n    message_bus_settings: {page_limit: 1, retain_red_days: 3}\n",
            "retain_red_days of box and 1 more is unknown; did you mean 'retain_read_days'?",
        ),
        (
            "  vars:\n",
            "  vars:\n    bus_watcher_settings:\n      stagger_s: soon\n",
            "hosts.yml:4: bus_watcher_settings.stagger_s of box and 1 more is 'soon', not a",
        ),
        (
            "  vars:\n",
            "  vars:\n    agent_bus_secrets_dir: ~/tokens\n",
            "hosts.yml:3: agent_bus_secrets_dir of box and 1 more is '~/tokens', not a whole path",
        ),
        (
            "    box:\n      agents: [alpha]",
            "    box:\n      bus_address: http://10.0.0.1:8091\n      agents: [alpha]",
            "hosts.yml:11: bus_address of box is 'http://10.0.0.1:8091', not a name or",
        ),
        (
            "    mini:\n      agents:",
            "    mini:\n      message_bus_port: 8092\n      agents:",
            "hosts.yml:13: message_bus_port is not the same for all hosts; set it once",
        ),
        (
            "    mini:\n      agents:",
            "    mini:\n      rack: 1\n      rack: 2\n      agents:",
            "hosts.yml:14: 'rack' stands here and in line 13; only the last one counts",
        ),
        ("    mini:\n", '    "my mini":\n', "hosts.yml:12: host name 'my mini' is not valid"),
    ],
)
def test_each_mistake_is_named_with_its_place_and_its_fix(
    check: Any, old: str, new: str, expected: str
) -> None:
    assert old in GOOD
    errors = check(GOOD.replace(old, new, 1))
    assert any(expected in error for error in errors), errors


def test_a_node_without_agents_is_refused_unless_it_is_the_hub(check: Any) -> None:
    assert check(GOOD.replace("      agents: [alpha]\n", "").replace("alpha, ", "")) == []
    errors = check(GOOD + "    idle:\n")
    assert errors == [
        (
            "hosts.yml:17: idle has no agents; give it a list `agents: [name]` or remove it from "
            "group 'nodes'"
        )
    ]


def test_a_host_with_agents_outside_of_nodes_is_refused(check: Any) -> None:
    text = GOOD + "others:\n  hosts:\n    stray:\n      agents: [gamma]\n"
    assert any("stray has agents but is not in group 'nodes'" in e for e in check(text))


def test_an_empty_hub_group_is_refused(check: Any) -> None:
    errors = check(GOOD.replace("hub:\n  hosts:\n    box:\n", "hub:\n  hosts: {}\n"))
    assert any("group 'hub' is empty or missing" in error for error in errors)


def test_the_operators_own_variables_are_left_alone(check: Any) -> None:
    own = "    site_name: home\n    ansible_user: me\n    backup_dir: /x\n    rack: 3\n"
    assert check(GOOD.replace("  vars:\n", f"  vars:\n{own}")) == []


def test_variables_for_a_host_or_group_that_does_not_exist_are_refused(
    check: Any, tmp_path: Path
) -> None:
    for owner in ("host_vars/mnii", "group_vars/node", "host_vars/other"):
        (tmp_path / owner).parent.mkdir(exist_ok=True)
        own = "rack: 1\n" if owner.endswith("other") else "agents: [gamma]\n"
        (tmp_path / f"{owner}.yml").write_text(own)
    errors = check(GOOD)
    assert len(errors) == 2
    assert errors[0].startswith("group_vars/node.yml:1: agents is set for group 'node', which")
    assert errors[0].endswith("; did you mean 'nodes'?")
    assert errors[1].startswith("host_vars/mnii.yml:1: agents is set for host 'mnii', which")
    assert errors[1].endswith("; did you mean 'mini'?")


def test_a_damaged_or_readable_token_is_refused(check: Any, tmp_path: Path) -> None:
    (tmp_path / "secrets" / "nodes").mkdir(parents=True)
    admin, box = tmp_path / "secrets" / "admin.token", tmp_path / "secrets" / "nodes" / "box.token"
    for token, text in ((admin, ""), (box, "x" * 43 + "\n")):
        token.touch(mode=0o600)
        token.write_text(text)
    (error,) = check(GOOD)
    assert error.startswith("secrets/admin.token: this is not a token; restore it")
    admin.write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n6364\n")
    assert check(GOOD) == []
    box.chmod(0o644)
    (error,) = check(GOOD)
    assert error.endswith("others may read this token: chmod 600 secrets/nodes/box.token")


BROKEN = {
    "no hub": ({"hosts.yml": "nodes:\n  hosts:\n    a: {agents: [x]}\n"}, "group 'hub' is empty"),
    "no host": ({"hosts.yml": "all: {}\n"}, "hosts.yml:1: group 'hub' is empty or missing"),
    "hosts not YAML": ({"hosts.yml": "hub:\n  hosts:\n    a: [x}\n"}, "hosts.yml:3:"),
    "vars not YAML": (
        {"hosts.yml": GOOD, "group_vars/nodes.yml": "x: 1\nagents: [x\n"},
        "group_vars/nodes.yml:3: this is not YAML",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_an_inventory_that_ansible_would_pass_over_stops_the_run(
    tmp_path: Path, fault: str
) -> None:
    files, expected = BROKEN[fault]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [
            Path(sys.executable).parent / "ansible-playbook",
            *("-i", tmp_path, "playbooks/preflight.yml"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert expected in done.stdout + done.stderr


@pytest.mark.parametrize("core", ["2.18.9", "2.22.0", "3.0.1"])
def test_another_ansible_is_refused(check: Any, core: str) -> None:
    assert check(GOOD, core=core)[0].startswith(f"ansible-core {core} is not one of 2.19")


@pytest.mark.parametrize("core", ["2.19.0", "2.20.10", "2.21.5", "2.21.0rc1"])
def test_what_was_tried_is_taken(check: Any, core: str) -> None:
    """`make ansible-versions` tries them."""
    assert check(GOOD, core=core) == []


FOUR_FAULTS = """\
hub:
  hosts:
    big:
    small:
nodes:
  hosts:
    big:
      agents: [main]
    small:
      agents: [main, other]
    third:
      agents: ["Bad Name!"]
    fourth:
      agent: [zoe]
"""


@pytest.mark.parametrize("limit", [[], ["--limit", "third"]])
def test_four_faults_stop_a_rollout_at_once_with_one_sentence_each(
    tmp_path: Path, limit: list[str]
) -> None:
    source = tmp_path / "hosts.yml"
    source.write_text(FOUR_FAULTS)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", source, "site.yml", *limit],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode != 0
    # an idle machine needs 1.5 s; time on the processor says so on a busy one, too
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5
    # Ansible prints a failure twice, as an error and as the result
    said = {line.strip() for line in done.stdout.splitlines() if line.strip().startswith("- ")}
    assert len(said) == 4, done.stdout
    assert all(f"{source}:" in line for line in said)
    for line, words in (
        (4, "group 'hub' has 2 hosts (big, small)"),
        (14, "unknown variable 'agent'; did you mean 'agents'?"),
        (12, "agent name 'Bad Name!' of third is not valid"),
        (8, "agent 'main' is on big and small"),
    ):
        assert any(f"{source}:{line}" in sentence and words in sentence for sentence in said), said


def test_a_wrong_value_from_the_command_line_stops_a_rollout_at_once(tmp_path: Path) -> None:
    source = tmp_path / "hosts.yml"
    source.write_text(
        "hub:\n  hosts:\n    box:\nnodes:\n  hosts:\n    box:\n      agents: [main]\n"
    )
    wrong = ["-e", "message_bus_port=99999", "-e", '{"message_bus_settings": {"keepaliv": 3}}']
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", source, "site.yml", *wrong],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = {line.strip() for line in done.stdout.splitlines() if line.strip().startswith("- ")}
    begin = "- -e, or what else this run was given: "
    assert {line.removeprefix(begin).partition(";")[0] for line in said} == {
        "message_bus_port of box is '99999', not a port (1 to 65535)",
        "message_bus_settings.keepaliv of box is unknown",
    }
