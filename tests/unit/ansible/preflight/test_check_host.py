"""What preflight has each host run, before Ansible's modules can be used there."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
import yaml

from filter_plugins.agents import agent_mappings, needs_openclaw
from filter_plugins.fleet import tls_mode
from filter_plugins.hubs import hubs_with_database
from lab.paths import ROOT
from roles.preflight.filter_plugins.preflight_hosts import (
    for_any_shell,
    host_errors,
    machine_of,
    release_errors,
)
from roles.preflight.filter_plugins.preflight_turns import turn_checks
from tests.support.plays import play, task_of

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATE = ROOT / "roles/preflight/templates/check-host.sh.j2"
PLAIN = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
"""What no shell takes for anything but itself, within a word."""


def script(*, part: str = "nodes", address: str = "192.0.2.77", **given: Any) -> str:
    """Return the check of a node, or of a hub, whose hub has that address."""
    jinja = jinja2.Environment(trim_blocks=True, autoescape=False)
    jinja.filters.update(
        tls_mode=tls_mode,
        bool=bool,
        quote=shlex.quote,
        hubs_with_database=hubs_with_database,
        agent_mappings=agent_mappings,
        needs_openclaw=needs_openclaw,
        turn_checks=turn_checks,
    )
    variables = {
        "inventory_hostname": "box",
        "groups": {"nodes": [], "hub": ["hub"], part: ["box"]},
        "hostvars": {"box": {"message_bus_tls": "fleet" if part == "hub" else "off"}},
        "agents": ["alpha"],
        "preflight_python": "/usr/bin/python3",
        "preflight_pythons": ["python3"],
        "preflight_oldest_python": "3.9",
        "preflight_oldest_systemd": 247,
        "preflight_openclaw_user": "root",
        "preflight_bus_address": address,
    }
    return jinja.from_string(TEMPLATE.read_text()).render({**variables, **given})


def errors(text: str, folder: Path, *, systemd: int = 252) -> list[str]:
    """Run a check and return what it found, but for what it says of this machine's own start."""
    systemctl = folder / "systemctl"
    systemctl.write_text(f"#!/bin/sh\necho 'systemd {systemd} ({systemd}.4-1)'\n")
    systemctl.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", for_any_shell(text)],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = host_errors({"rc": done.returncode, "stdout": done.stdout}, "box", "pi")
    of_the_test = ("was not started by systemd", "Ansible becomes ")
    return [error for error in found if not any(words in error for words in of_the_test)]


@pytest.mark.parametrize("part", ["nodes", "hub"])
def test_an_address_that_has_no_name_is_an_address(part: str, tmp_path: Path) -> None:
    assert errors(script(part=part), tmp_path) == []


@pytest.mark.parametrize("part", ["nodes", "hub"])
def test_a_name_that_cannot_be_resolved_is_told(part: str, tmp_path: Path) -> None:
    (found,) = errors(script(part=part, address="no-such.invalid"), tmp_path)
    assert found.startswith("box: cannot resolve 'no-such.invalid', ")


@pytest.mark.parametrize(
    "python",
    [
        "/usr/bin/python3",
        "python3",
        "auto",
        "auto_silent",
        "auto_legacy",
        "auto_legacy_silent",
    ],
)
def test_an_interpreter_is_what_ansible_takes_it_for(python: str, tmp_path: Path) -> None:
    assert errors(script(preflight_python=python), tmp_path) == []


@pytest.mark.parametrize("python", ["/usr/bin/env python3", "~/python", "$HOME/python"])
def test_words_that_ansible_would_not_take_apart_are_told(
    python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "python").symlink_to("/usr/bin/python3")
    (found,) = errors(script(preflight_python=python), tmp_path)
    assert found.startswith(f"box: has no {python}; ")


def test_auto_takes_the_first_that_is_there(tmp_path: Path) -> None:
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ $# -lt 2 ] || [ "$2" = pass ]\n')
    old.chmod(0o755)
    tried = ["python3.99", "python3.8", "/usr/bin/python3"]
    (found,) = errors(script(preflight_python="auto", preflight_pythons=tried), tmp_path)
    assert found.startswith(f"box: has a Python older than 3.9, {old}; ")


def test_an_interpreter_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    (found,) = errors(script(preflight_python="/opt/none/python"), tmp_path)
    assert found.startswith("box: has no /opt/none/python; ")
    assert "ansible_python_interpreter" in found


@pytest.mark.parametrize(("systemd", "works"), [(245, False), (247, True), (257, True)])
def test_a_systemd_that_is_too_old_is_told(systemd: int, tmp_path: Path, *, works: bool) -> None:
    found = errors(script(), tmp_path, systemd=systemd)
    assert (found == []) == works
    assert works or "systemd 245, the oldest that works is 247" in found[0]


def test_the_words_for_the_login_shell_mean_the_same_to_every_shell() -> None:
    for length in range(700, 706):  # each remainder of base64's blocks
        line = for_any_shell("x" * length)
        head, inner, words = line.split("'")
        assert head == "/bin/sh -c "
        assert inner == 'printf %s "$@" | base64 -d | /bin/sh'
        first, *others = words.split()
        assert first == "sh"
        assert set("".join(others)) <= PLAIN


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("text", ['it\'s \\ "here" $HOME !1 é', "a\nb\n"])
def test_a_script_arrives_unchanged(shell: str, text: str) -> None:
    echoed = f"cat <<'END'\n{text}\nEND\n"
    done = subprocess.run(
        [shell, "-c", for_any_shell(echoed)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{text}\n"


@pytest.mark.parametrize(
    "answer",
    [
        {"rc": 0, "stdout": "", "stderr": "fish: Expected end of the statement"},
        {"rc": 0, "stdout": "Welcome to the menu"},
        {"rc": 1, "stdout": "This account is currently not available.", "msg": "non-zero"},
        {"rc": 0, "stdout": "agent-bus-check: wrong: has no python3\r\n"},
        {"msg": "Missing sudo password", "failed": True},
        {},
    ],
)
def test_a_check_without_its_closing_mark_has_not_passed(answer: dict[str, Any]) -> None:
    (found,) = host_errors(answer, "box", "pi")
    assert "the check did not run there" in found
    assert "set ansible_user" in found
    for key in ("stdout", "stderr", "msg"):
        assert str(answer.get(key, "")).strip().rstrip(".") in found


def test_what_a_login_shell_prints_around_the_answer_does_no_harm() -> None:
    printed = "Welcome\r\nagent-bus-check: machine: a b c\r\nagent-bus-check: done\r\nBye\r\n"
    assert host_errors({"rc": 0, "stdout": printed}, "box") == []
    assert machine_of({"rc": 0, "stdout": printed}) == "a b c"


GOOD = "agent-bus-check: machine: {}\nagent-bus-check: done\n"


def after_answers(folder: Path, stdout: dict[str, str], task: str) -> str:
    """Run a task of the role with the answers of two hosts; return what Ansible printed."""
    hosts = {
        "mini": {"ansible_host": "192.0.2.5", "said": stdout["mini"]},
        "attic": {"ansible_host": "192.0.2.6", "said": stdout["attic"]},
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    tasks = [
        {"ansible.builtin.set_fact": {"preflight_answer": {"rc": 0, "stdout": "{{ said }}"}}},
        task_of("roles/preflight/tasks/hosts.yml", task),
        {"ansible.builtin.debug": {"msg": "rolled {{ inventory_hostname }}"}},
    ]
    done = play(tasks, folder, hosts="all", inventory=[str(folder / "hosts.yml")])
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("same", [True, False])
def test_nothing_is_rolled_where_two_names_are_one_machine(tmp_path: Path, *, same: bool) -> None:
    attic = GOOD.format("boot mnt:[1] box" if same else "boot mnt:[2] box")
    said = {"mini": GOOD.format("boot mnt:[1] box"), "attic": attic}
    printed = after_answers(
        tmp_path, said, "Check that no two names of the inventory are one machine"
    )
    assert ("attic and mini are one machine" in printed) == same
    assert ("attic at 192.0.2.6 and mini at 192.0.2.5" in printed) == same
    assert ("rolled mini" in printed) == (not same)
    assert ("rolled attic" in printed) == (not same)


def test_a_host_whose_check_did_not_run_drops_out(tmp_path: Path) -> None:
    said = {"mini": GOOD.format("a b c"), "attic": "Welcome to the menu"}
    name = "Check each host's Python, systemd, the gateway's user and the hub's name"
    printed = after_answers(tmp_path, said, name)
    assert "attic: the check did not run there" in printed
    assert "rolled mini" in printed
    assert "rolled attic" not in printed


def test_hubs_of_one_distribution_can_share_a_postgresql() -> None:
    answers = {hub: said("release: debian 13") for hub in ("elm", "fir")}
    assert release_errors({**answers, "gorse": {"unreachable": True}}) == []


def test_hubs_of_different_distributions_are_named_with_theirs() -> None:
    answers = {
        "elm": said("release: debian 12"),
        "fir": said("release: debian 13"),
        "gorse": said("release: debian 13"),
    }
    (error,) = release_errors(answers)
    assert "debian 12 (elm); debian 13 (fir, gorse)" in error
    assert "give all hubs the same distribution" in error


@pytest.mark.parametrize(("hubs", "tells"), [(["box"], False), (["box", "b", "c"], True)])
def test_only_one_of_several_hubs_tells_its_distribution(hubs: list[str], *, tells: bool) -> None:
    groups = {"nodes": [], "hub": hubs}
    done = subprocess.run(
        ["/bin/sh", "-c", script(part="hub", groups=groups, hostvars={h: {} for h in hubs})],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("agent-bus-check: release: " in done.stdout) == tells


def said(line: str) -> dict[str, Any]:
    """Return a host's answer with this line."""
    return {"stdout": f"agent-bus-check: {line}\r\nagent-bus-check: done\r\n"}


def turns(made: Path, version: str = "2.1.400 (Claude Code)", **changes: object) -> str:
    """Return the check of a host with one agent that takes turns as this machine's root."""
    program = made / "claude"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    agent = {
        "name": "coder",
        "waker": "claude-code",
        "user": "root",
        "folder": str(made),
        "program": str(program),
    }
    return script(agents=[{**agent, **changes}], preflight_openclaw_user="no-such-user")


def test_a_host_whose_agents_all_take_turns_needs_no_user_of_openclaw(tmp_path: Path) -> None:
    assert errors(turns(tmp_path), tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="asks as other users, which only root can")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"user": "no-such-user"}, "has no user 'no-such-user' for the turns of agent coder"),
        ({"folder": "/no/such"}, "has no folder /no/such for the turns of agent coder"),
        ({"user": "nobody", "folder": "/etc"}, "user nobody cannot write in /etc, where agent"),
        ({"program": "/no/claude"}, "user root has no program /no/claude for agent coder"),
        ({"environment_file": "/no/file"}, "user root cannot read /no/file, the environment_file"),
        ({"version": "2.0.9"}, "is 2.0.9; the waker of agent coder was made for 2.1.332"),
        ({"version": "what?"}, "does not tell its version"),
    ],
)
def test_what_turns_lack_is_told(changes: dict[str, Any], expected: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found = errors(turns(tmp_path, **changes), tmp_path)
    assert any(expected in error for error in found), found


def test_a_program_is_looked_for_where_the_environment_file_says(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text(f'KEY=x\nexport PATH="{tmp_path}:/usr/bin:/bin"\n')
    text = turns(tmp_path, program="claude", environment_file=str(file))
    assert errors(text, tmp_path) == []
