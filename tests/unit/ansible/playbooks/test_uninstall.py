"""What was told to stop has stopped, or the playbook says what still runs."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.paths import ROOT

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
PROGRAM = ROOT / "playbooks" / "files" / "remove_unit.sh"
units = pytest.mark.parametrize(
    "unit", ["agent-bus.service", "agent-bus-firewall.service", "bus-watcher.service"]
)


def run(unit: str, folder: Path, **answers: int) -> subprocess.CompletedProcess[str]:
    """Run the program on a folder of units, with a systemd that answers like this."""
    (folder / "bin").mkdir()
    (folder / "bin" / "systemctl").write_text(SYSTEMCTL)
    (folder / "bin" / "systemctl").chmod(0o755)
    text = PROGRAM.read_text().replace("/etc/systemd/system", str(folder))
    told = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "CALLS": str(folder / "calls")}
    return subprocess.run(
        ["/bin/sh", "-c", text, PROGRAM.name, unit],
        env=told | {name: str(code) for name, code in answers.items()},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@units
def test_a_unit_that_still_runs_is_not_removed_in_silence(unit: str, tmp_path: Path) -> None:
    (tmp_path / unit).touch()
    done = run(unit, tmp_path, ACTIVE=0, STOPS=0)
    assert done.returncode != 0
    assert "removed" not in done.stdout
    assert f"{unit} was told to stop and still runs" in done.stderr


@units
def test_a_unit_that_had_to_be_killed_is_gone(unit: str, tmp_path: Path) -> None:
    (tmp_path / unit).touch()
    done = run(unit, tmp_path, ACTIVE=3, STOPS=1)
    assert (done.returncode, done.stdout) == (0, "removed\n"), done.stderr
    assert not (tmp_path / unit).exists()
    assert f"kill --signal=KILL {unit}" in (tmp_path / "calls").read_text()


@units
def test_where_there_is_none_nothing_is_done(unit: str, tmp_path: Path) -> None:
    done = run(unit, tmp_path, ACTIVE=3, STOPS=0)
    assert (done.returncode, done.stdout) == (0, "")
    assert not (tmp_path / "calls").exists()
