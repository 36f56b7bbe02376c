"""The end of a run of pytest in which tests failed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lab import progress
from lab.paths import ROOT
from tests.support.guard import marked
from tests.support.patience import patience

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
import pytest

@pytest.fixture
def broken():
    assert not "a long message", "line\\n" * 50

@pytest.mark.parametrize("word", ["a - b"])
def test_one(word):
    assert not "a long message", "line\\n" * 50

def test_two(broken):
    pass

def test_good():
    pass
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_the_last_lines_name_the_failed_tests(tmp_path: Path, workers: int) -> None:
    (tmp_path / "test_some.py").write_text(FILE)
    (tmp_path / "test_unreadable.py").write_text("this is no Python")
    plugins = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "tests.conftest"]
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    options += ["--continue-on-collection-errors", f"-n{workers}"]
    argv = [sys.executable, "-m", "pytest", *plugins, *options, str(tmp_path)]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=marked(**{progress.PIPE: ""}),
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(),
    )
    assert done.returncode == 1, done.stdout
    assert sorted(done.stdout.splitlines()[-3:]) == [
        "FAILED test_some.py::test_one[a - b]",
        "FAILED test_some.py::test_two",
        "FAILED test_unreadable.py",
    ]
