"""What counts as a failure of a release, and what the operator is told about one."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.paths import ROOT
from tests.support.plays import play, task_of

if TYPE_CHECKING:
    from pathlib import Path

UNITS = {
    "message_bus": ("agent-bus.service", "Let systemd check a new unit before it counts"),
    "bus_watcher": ("bus-watcher.service", "Let systemd check a new unit"),
}
CALM = "[Service]\nExecStart=/bin/true\n"
MISTAKE = "[Service]\nExecStart=/bin/true\nRestartSecond=1\n"
roles = pytest.mark.parametrize("role", UNITS)


def verified(role: str, folder: Path, *, own: str, other: str) -> bool:
    """Run the task's command on a unit that wants another one; tell whether the task passes."""
    unit, name = UNITS[role]
    task = task_of(f"roles/{role}/tasks/configure.yml", name)
    assert "failed_when" not in task, "only the exit code counts"
    (folder / unit).write_text(f"[Unit]\nWants=other.service\nAfter=other.service\n{own}")
    (folder / "other.service").write_text(other)
    command = task["ansible.builtin.command"].replace("/etc/systemd/system", str(folder))
    code, _ = said(command, folder)
    _, everything = said(f"systemd-analyze verify {folder / unit}", folder)
    assert "RestartSecond" in everything, "the mistake is seen"
    return code == 0


def said(command: str, folder: Path) -> tuple[int, str]:
    """Return exit code and stderr of a command to which the folder is the system's units."""
    environment = {"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{folder}:"}
    done = subprocess.run(
        shlex.split(command), env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@roles
def test_a_mistake_in_somebody_else_s_unit_does_not_stop_a_rollout(
    role: str, tmp_path: Path
) -> None:
    assert verified(role, tmp_path, own=CALM, other=MISTAKE)


@roles
def test_a_mistake_in_the_own_unit_does(role: str, tmp_path: Path) -> None:
    assert not verified(role, tmp_path, own=MISTAKE, other=CALM)


def test_a_failed_backup_is_no_failure_of_the_release(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "roles" / "message_bus", tmp_path / "message_bus")
    instead = {
        "install": {"ansible.builtin.debug": {"msg": "installed"}},
        "backup": {"ansible.builtin.fail": {"msg": "no backup"}},
        "go_back": {"ansible.builtin.fail": {"msg": "went back"}},
    }
    for name, action in instead.items():
        text = json.dumps([{"name": name, **action}])
        (tmp_path / "message_bus" / "tasks" / f"{name}.yml").write_text(text)
    (tmp_path / "hosts").write_text("[hub]\nlocalhost\n")
    done = play(
        [{"ansible.builtin.import_role": {"name": "message_bus"}}],
        tmp_path,
        inventory=[str(tmp_path / "hosts")],
        roles=tmp_path,
    )
    assert done.returncode != 0
    assert "installed" in done.stdout
    assert "no backup" in done.stdout
    assert "went back" not in done.stdout


@roles
@pytest.mark.parametrize("bad", [True, False], ids=["the-release", "its-settings"])
def test_the_command_to_go_on_insists_on_a_release_that_counts_as_bad(
    role: str, tmp_path: Path, *, bad: bool
) -> None:
    known = {"built": {"release": "2.0-x"}, "journal": {"stdout": ""}, "gate_s": 1}
    known |= {"back": {"back_to": "1.0-x", "bad": {"2.0-x": "why"} if bad else {}}}
    known |= {"seen": {}, "hub_url": "", "hub": "localhost"}
    variables = {f"{role}_{name}": value for name, value in known.items()}
    task = task_of(f"roles/{role}/tasks/go_back.yml", "Stop the rollout")
    done = play([task], tmp_path, variables={**variables, "ansible_failed_result": {"msg": "no"}})
    assert "To go on after mending it: ansible-playbook -i localhost, site.yml" in done.stdout
    assert ("-e agent_bus_retry_bad=true" in done.stdout) == bad
