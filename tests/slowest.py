"""`python -m tests.slowest`: what took longest of all that the last `make test` or `check` ran."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.support.report import DURATIONS

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 10


def slowest(files: list[Path], count: int | None = None) -> list[str]:
    """One line per entry of these files, the slowest first."""
    found = []
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            took_s, _, name = line.partition("\t")
            found.append((float(took_s), name))
    found.sort(key=lambda entry: -entry[0])
    return [f"  {took_s:6.1f} s  {name}" for took_s, name in found[:count]]


def main() -> int:
    tests = slowest(sorted(DURATIONS.glob("tests-*.tsv")), COUNT)
    steps = slowest(sorted(DURATIONS.glob("steps.tsv")))
    print("== what each step took ==", *steps, sep="\n")
    print(f"== the slowest {COUNT} tests ==", *tests, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
