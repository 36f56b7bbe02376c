"""What counts as a failure of a release, and what the operator is told about one."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from lab.paths import ROOT
from library.effective_unit import mistakes
from tests.support.plays import play, task_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UNITS = ("agent-bus.service", "bus-watcher.service")
CALM = "[Service]\nExecStart=/bin/true\n"
MISTAKE = "[Service]\nExecStart=/bin/true\nRestartSecond=1\n"
ROLES = ("message_bus", "bus_watcher")
roles = pytest.mark.parametrize("role", ROLES)
units = pytest.mark.parametrize("unit", UNITS)


def wrong(unit: str, folder: Path, *, own: str, other: str) -> str:
    """Let this machine's systemd check a unit that wants another one; return what is wrong."""
    (folder / unit).write_text(f"[Unit]\nWants=other.service\nAfter=other.service\n{own}")
    (folder / "other.service").write_text(other)
    plain = ["systemd-analyze", "verify"]
    _, everything = said([*plain, str(folder / unit)], folder)
    assert "RestartSecond" in everything, "the mistake is seen"
    code, printed = said([*plain, "--recursive-errors=no", str(folder / unit)], folder)
    newer = mistakes(str(folder / unit), code, printed, says_which=True)
    older = mistakes(str(folder / unit), code, everything, says_which=False)
    assert bool(newer) == bool(older), "both kinds of systemd find the same"
    return newer


def said(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Return exit code and stderr of a command to which the folder is the system's units."""
    environment = {"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{folder}:"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@units
def test_a_mistake_in_somebody_else_s_unit_does_not_stop_a_rollout(
    unit: str, tmp_path: Path
) -> None:
    assert not wrong(unit, tmp_path, own=CALM, other=MISTAKE)


@units
def test_a_mistake_in_the_own_unit_does(unit: str, tmp_path: Path) -> None:
    assert "RestartSecond" in wrong(unit, tmp_path, own=MISTAKE, other=CALM)


def stopped(role: str, folder: Path, known: dict[str, Any], failed: dict[str, Any]) -> str:
    """Return what the operator is told when a release did not pass."""
    known = {
        "built": {"release": "2.0-x"},
        "journal": {"stdout": ""},
        "gate_s": 1,
        "hub": "localhost",
        **known,
    }
    variables = {f"{role}_{name}": value for name, value in known.items()}
    task = task_of(f"roles/{role}/tasks/go_back.yml", "Stop the rollout")
    done = play([task], folder, variables={**variables, "ansible_failed_result": failed})
    assert done.returncode != 0
    return done.stdout


@roles
def test_what_a_failed_command_said_is_told(role: str, tmp_path: Path) -> None:
    failed = {
        "msg": "non-zero return code",
        "rc": 1,
        "cmd": ["systemctl", "restart", "it"],
        "stderr": "Job for it failed.\nSee its log.",
    }
    printed = stopped(role, tmp_path, {"back": {"back_to": "1.0-x", "bad": {}}}, failed)
    assert "systemctl restart it" in printed
    assert "Job for it failed." in printed


@roles
def test_why_there_is_nothing_to_go_back_to_is_told_as_it_is(role: str, tmp_path: Path) -> None:
    known = {"back": {"back_to": "", "bad": {}, "stayed": "same"}}
    said = stopped(role, tmp_path, known, {"msg": "no"})
    assert "It has passed here before with the same settings, and nothing was changed" in said
    task = task_of(f"roles/{role}/tasks/go_back.yml", "Stop the rollout")
    assert set(task["vars"][f"{role}_stayed"]) == {"same", "gone", "first"}


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
    known: dict[str, Any] = {}
    known |= {"back": {"back_to": "1.0-x", "bad": {"2.0-x": "why"} if bad else {}}}
    done = stopped(role, tmp_path, known, {"msg": "no"})
    assert "To go on after mending it: ansible-playbook -i localhost, site.yml" in done
    assert ("-e agent_bus_retry_bad=true" in done) == bad
