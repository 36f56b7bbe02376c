"""`tools/side-by-side` with a Makefile of its own."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.paths import ROOT
from tests.support.guard import marked
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = """\
first: ; @touch first-runs; until [ -e second-runs ]; do sleep 0.01; done; echo done with first
second: ; @touch second-runs; until [ -e first-runs ]; do sleep 0.01; done; echo done with second
third: ; @echo third
broken: ; @echo why it is broken; exit 3
after: ; @echo never
untested: ; @cat said-by-pytest; seq 100; exit 1
endless: ; @touch endless-runs; sleep 3600
lasting: ; @touch lasting-runs; sleep 3600
resting: ; @touch resting-runs; sleep 3600
idling: ; @touch idling-runs; sleep 3600
"""


SAID_BY_PYTEST = """\
FAILED tests/unit/test_one.py::test_it[a - b] (call)
FAILED tests/unit/test_one.py::test_it[a - b] - AssertionError: so and so
FAILED tests/unit/test_one.py::Suite::test_other - a message
  of two lines
ERROR tests/unit/test_two.py::test_third - the fixture
ERROR tests/unit/test_broken.py - SyntaxError
FAILED tests/unit/test_one.py::test_it[a - b]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "side-by-side", tmp_path / "tools")
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "said-by-pytest").write_text(SAID_BY_PYTEST)
    return tmp_path


def run(project: Path, *jobs: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [project / "tools" / "side-by-side", *jobs],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(),
    )
    return done.returncode, done.stdout.splitlines()


def test_jobs_run_at_the_same_time_and_each_line_has_its_target(project: Path) -> None:
    code, lines = run(project, "first", "second", "third")
    assert code == 0
    assert {"first | done with first", "second | done with second", "third | third"} <= set(lines)
    assert (project / ".cache" / "first.log").read_text() == "done with first\n"
    steps = (project / ".cache" / "durations" / "steps.tsv").read_text().splitlines()
    assert {step.split("\t")[1] for step in steps} == {"make first", "make second", "make third"}


def test_a_job_ends_at_its_first_failure_which_is_told_last(project: Path) -> None:
    code, lines = run(project, "broken after", "first third", "second")
    assert code == 1
    assert "after | never" not in lines
    end = lines.index("== broken: FAILED; the end of .cache/broken.log ==")
    assert lines[end + 1] == "why it is broken"
    assert any(line.startswith("== third: passed, ") for line in lines[:end])


def test_the_last_lines_name_each_failed_test_or_else_the_target(project: Path) -> None:
    code, lines = run(project, "untested", "third", "broken")
    assert code == 1
    names = ["test_one.py::test_it[a - b]", "test_one.py::Suite::test_other"]
    names += ["test_two.py::test_third", "test_broken.py"]
    of_tests = [f"FAILED tests/unit/{name}" for name in names]
    assert sorted(lines[-5:]) == sorted([*of_tests, "FAILED make broken"])
    assert [line for line in lines[-5:] if line != "FAILED make broken"] == of_tests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_runs_ends_with_it(project: Path, number: int) -> None:
    argv = [str(project / "tools" / "side-by-side"), "endless after", "lasting", "resting"]
    argv += ["idling", "third"]
    with subprocess.Popen(argv, env=marked(), stdout=subprocess.PIPE, text=True) as started:
        for name in ("endless-runs", "lasting-runs", "resting-runs", "idling-runs"):
            wait_until((project / name).exists, f"{name} is there")
        started.send_signal(number)
        said, _ = started.communicate(timeout=patience())  # all that had its output have ended
    assert "third | third" not in said
    assert "after | never" not in said
