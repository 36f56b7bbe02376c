from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests import stress
from tests.support.guard import carriers, mark

SUMMARY = """
tests/api/test_x.py::test_a PASSED
=========================== short test summary info ============================
FAILED tests/api/test_x.py::test_b - AssertionError: assert 1 == 2
FAILED tests/api/test_x.py::test_c[a b - c] - ValueError
ERROR tests/api/test_x.py::test_d
1 failed, 2 passed in 0.01s
"""


def test_failures_are_taken_from_the_summary() -> None:
    names = ["test_b", "test_c[a b - c]", "test_d"]
    assert stress.failures(SUMMARY) == [f"tests/api/test_x.py::{name}" for name in names]


def test_the_load_runs_and_ends_with_its_folder() -> None:
    before = set(carriers(mark()))
    with stress.load():
        started = set(carriers(mark())) - before
        folders = [
            Path(word.decode()).parent
            for pid in started
            for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if word.endswith(b"/synced")
        ]
    assert len(started) == stress.BUSY_COUNT + 1
    assert len(folders) == 1
    assert not folders[0].exists()
    assert not set(carriers(mark())) & started


def test_a_failed_file_is_named_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        stress, "load", contextlib.nullcontext
    )  # shown above, and nothing to count
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_one.py").write_text("def test_bad():\n    assert 1 == 2\n")
    (folder / "test_two.py").write_text("def test_good():\n    pass\n")
    monkeypatch.setattr(stress, "ROOT", tmp_path)
    monkeypatch.setattr(stress, "LOGS", tmp_path / "logs")
    assert stress.main(["tests", "--times", "1"]) == 1
    said = capsys.readouterr().out
    assert "2 runs of 2 files; failed tests: 1\n" in said
    assert "  1 of 1  tests/test_one.py::test_bad\n" in said


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SystemExit, match=r"there is no tests/test_nowhere\.py"):
        stress.files_of(["tests/test_nowhere.py"])
