"""What was told to stop has stopped, or the playbook says what still runs."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.plays import task_of

if TYPE_CHECKING:
    from pathlib import Path

SYSTEMCTL = """#!/bin/sh
echo "$*" >>"$CALLS"
case $1 in
is-active) exit "$ACTIVE" ;;
disable) exit "$STOPS" ;;
kill) exit 1 ;;
esac
"""
units = pytest.mark.parametrize(
    ("file", "task", "unit"),
    [
        ("hub", "Stop the bus and leave no trace of its unit", "agent-bus.service"),
        ("hub", "Take the rule for the port away", "agent-bus-firewall.service"),
        ("node", "Stop the watcher and leave no trace of its unit", "bus-watcher.service"),
    ],
)


def run(file: str, task: str, folder: Path, **answers: int) -> subprocess.CompletedProcess[str]:
    """Run the task's own text on a folder of units, with a systemd that answers like this."""
    (folder / "bin").mkdir()
    for name, text in (("systemctl", SYSTEMCTL), ("nft", "#!/bin/sh\nexit 1\n")):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    text = task_of(f"playbooks/tasks/uninstall_{file}.yml", task)["ansible.builtin.shell"]
    told = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "CALLS": str(folder / "calls")}
    return subprocess.run(
        ["sh", "-c", text.replace("/etc/systemd/system", str(folder))],
        env=told | {name: str(code) for name, code in answers.items()},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@units
def test_a_unit_that_still_runs_is_not_removed_in_silence(
    file: str, task: str, unit: str, tmp_path: Path
) -> None:
    (tmp_path / unit).touch()
    done = run(file, task, tmp_path, ACTIVE=0, STOPS=0)
    assert done.returncode != 0
    assert "removed" not in done.stdout
    assert f"{unit} was told to stop and still runs" in done.stderr


@units
def test_a_unit_that_had_to_be_killed_is_gone(
    file: str, task: str, unit: str, tmp_path: Path
) -> None:
    (tmp_path / unit).touch()
    done = run(file, task, tmp_path, ACTIVE=3, STOPS=1)
    assert (done.returncode, done.stdout) == (0, "removed\n"), done.stderr
    assert not (tmp_path / unit).exists()
    assert f"kill --signal=KILL {unit}" in (tmp_path / "calls").read_text()


@units
def test_where_there_is_none_nothing_is_done(
    file: str, task: str, unit: str, tmp_path: Path
) -> None:
    done = run(file, task, tmp_path, ACTIVE=3, STOPS=0)
    assert (done.returncode, done.stdout) == (0, "")
    assert not (tmp_path / "calls").exists()
