"""What the process says about itself where /proc shows nothing else."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agent_bus.runtime import process
from tests.support.hub import REPOSITORY
from tests.support.patience import patience

if TYPE_CHECKING:
    import pytest


def test_the_figures_are_this_processes() -> None:
    one = process.Process()
    usage = one.usage()
    assert 0 < usage.cpu_s <= sum(os.times()[:2]) + 0.1
    assert usage.resident_bytes <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert 10_000_000 < usage.resident_bytes < usage.virtual_bytes
    assert usage.max_fds == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert usage.started_at < time.time()
    with Path(os.devnull).open(encoding="utf-8"):
        assert one.usage().open_fds == usage.open_fds + 1
    assert one.usage().started_at == usage.started_at


def test_it_started_between_its_parents_start_of_it_and_its_first_word() -> None:
    told = "from agent_bus.runtime import process; print(process.Process().usage().started_at)"
    before = time.time()
    done = subprocess.run(
        [sys.executable, "-c", told],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "files")},
        capture_output=True, text=True, timeout=patience(), check=True,
    )  # fmt: skip
    assert before - 0.1 <= float(done.stdout) <= time.time()  # ticks are 10 ms


def test_a_command_with_brackets_and_spaces_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = " ".join(str(n) for n in range(4, 53))
    (tmp_path / "stat").write_text(f"12 (odd ) name) (x) S {numbers}\n")
    monkeypatch.setattr(process, "PROC", tmp_path)
    fields = process._fields()
    assert (fields[11], fields[12], fields[19], fields[21]) == (14, 15, 22, 24)
