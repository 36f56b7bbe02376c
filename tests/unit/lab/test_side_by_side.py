"""`lab/side-by-side` with a Makefile of its own."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.paths import ROOT
from tests.support.patience import patience

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = """\
first: ; @touch first-runs; until [ -e second-runs ]; do sleep 0.01; done; echo done with first
second: ; @touch second-runs; until [ -e first-runs ]; do sleep 0.01; done; echo done with second
broken: ; @echo why it is broken; exit 3
after: ; @echo never
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "lab").mkdir()
    shutil.copy(ROOT / "lab" / "side-by-side", tmp_path / "lab")
    (tmp_path / "Makefile").write_text(MAKEFILE)
    return tmp_path


def run(project: Path, *lanes: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [project / "lab" / "side-by-side", *lanes],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(),
    )
    return done.returncode, done.stdout.splitlines()


def test_lanes_run_at_the_same_time_and_each_line_has_its_target(project: Path) -> None:
    code, lines = run(project, "first", "second")
    assert code == 0
    assert {"first | done with first", "second | done with second"} <= set(lines)
    assert (project / ".cache" / "first.log").read_text() == "done with first\n"


def test_a_lane_ends_at_its_first_failure_which_is_told_last(project: Path) -> None:
    code, lines = run(project, "broken after", "first second", "second")
    assert code == 1
    assert "after | never" not in lines
    end = lines.index("== broken: FAILED; the end of .cache/broken.log ==")
    assert lines[end + 1] == "why it is broken"
    assert any(line.startswith("== first: passed, ") for line in lines[:end])
