from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from bench import cli
from bench.cli import HERE, Case, goals

if TYPE_CHECKING:
    from pathlib import Path


def case(verb: str, times: float, mib: float) -> Case:
    rounds = [99.0, times, 0.0]  # the median counts
    return Case(f"{verb}, {HERE}", [], [1.0] * 3, rounds, mib)


@pytest.mark.parametrize(
    ("times", "mib", "verdicts"),
    [(4.0, 12.0, ["reached", "reached"]), (4.1, 12.1, ["missed", "missed"])],
)
def test_a_hot_verb_may_cost_four_interpreters_and_twelve_mib(
    times: float, mib: float, verdicts: list[str]
) -> None:
    found = [case(verb, times, mib) for verb in ("send", "inbox")]
    assert [goal.verdict for goal in goals(found)] == verdicts * 2


def test_a_run_is_weighed_by_itself_however_it_ends(tmp_path: Path) -> None:
    ballast = bytearray(64 * 1024 * 1024)
    for number, end in enumerate(("sys.exit(0)", "os._exit(0)", "pass")):
        program = tmp_path / f"program-{number}"
        program.write_text(f"import os, sys\nprint('an answer')\n{end}\n")
        argv = [sys.executable, "-IS", str(program)]
        assert 5 < cli.resident_mib(argv, {}) < len(ballast) / 1024 / 1024


def test_what_fails_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        cli.cpu_s([sys.executable, "-IS", "-c", "import sys; sys.exit(3)"], {})


def test_the_launcher_is_that_of_the_nodes() -> None:
    template = (cli.ROOT / "templates" / "agent-bus.j2").read_text(encoding="utf-8")
    plain = [line.partition("  #")[0] for line in template.splitlines()]
    lines = cli.LAUNCHER.splitlines()
    own = [line for line in lines if line.startswith(("import", "from", "sys.exit"))]
    assert [line for line in plain if line in own] == own
