"""This tree beside another revision of it: both hubs run, and take turns round by round.

What else the machine does hits both, so the ratio within a round means something where the figures
themselves do not. CPU means most, then messages/s; a time at rest on a busy machine says little.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import scenarios
from bench.loop import run
from bench.measure import machine
from bench.peers.ours import ROOT, Ours
from bench.rows import FIGURES, ROWS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from bench.rows import Row
    from bench.scenarios import Post

    Standing = tuple[Ours, Post]

CACHE: Final = ROOT / ".cache"
OUT: Final = CACHE / "bench-against.json"
NEW, OLD = "new", "old"
WRONG: Final = ("lost", "doubled")


@dataclass
class Pair:
    """What both sides gave in each round of a row."""

    row: str
    new: list[dict[str, Any]] = field(default_factory=list)
    old: list[dict[str, Any]] = field(default_factory=list)

    def figures(self) -> Iterator[tuple[str, list[float], list[float]]]:
        """The figures that both sides have, round by round."""
        for name in FIGURES:
            if name in self.new[0] and name in self.old[0]:
                yield name, [one[name] for one in self.new], [one[name] for one in self.old]

    @property
    def wrong(self) -> int:
        """How many messages were lost or doubled, on either side."""
        return sum(one.get(name, 0) for one in (*self.new, *self.old) for name in WRONG)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, median, third


def ratios(new: Sequence[float], old: Sequence[float]) -> tuple[float, float, float]:
    """Quartiles of new / old within each round; a round whose old figure is 0 says nothing."""
    each = [above / below for above, below in zip(new, old, strict=True) if below]
    return quartiles(each) if each else (float("nan"),) * 3


@contextlib.contextmanager
def revision(name: str) -> Iterator[Path]:
    """The `files` of another revision, in a folder that goes with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-against-", dir=CACHE) as folder:
        argv = ["git", "archive", name, "files"]
        archive = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
        if archive.returncode:
            raise SystemExit(f"--against {name}: {archive.stderr.decode().strip()}")
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder) / "files"


@contextlib.asynccontextmanager
async def standing(files: Path, *, tls: bool, with_streams: bool) -> AsyncIterator[Any]:
    """A hub of this code; with its post, or None in its place."""
    ours = Ours(files, tls=tls)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        await ours.start(Path(folder))
        try:
            if not with_streams:
                yield ours, None
                return
            async with scenarios.opened(ours) as post:
                yield ours, post
        finally:
            await ours.stop()


async def in_turns(
    trees: dict[str, Path], rows: Sequence[Row], *, rounds: int, scale: float
) -> list[Pair]:
    """All rows: on kept hubs first, then with TLS, then those with a hub for each round."""
    pairs = {row.name: Pair(row.name) for row in rows}
    for tls in (False, True):
        kept = [row for row in rows if row.posted is not None and row.tls == tls]
        if not kept:
            continue
        async with contextlib.AsyncExitStack() as stack:
            sides = {
                name: await stack.enter_async_context(standing(files, tls=tls, with_streams=True))
                for name, files in trees.items()
            }
            for row in kept:
                for number in range(min(rounds, row.rounds)):
                    for name in _order(number):
                        ours, post = sides[name]
                        _keep(pairs[row.name], name, await row.measure(ours, post, scale=scale))
                    _say(pairs[row.name], number)
    for row in (row for row in rows if row.posted is None):
        for number in range(min(rounds, row.rounds)):
            for name in _order(number):
                async with standing(trees[name], tls=row.tls, with_streams=False) as (ours, post):
                    _keep(pairs[row.name], name, await row.measure(ours, post, scale=scale))
            _say(pairs[row.name], number)
    return list(pairs.values())


def _order(number: int) -> tuple[str, str]:
    """Who is first changes from round to round."""
    return (NEW, OLD) if number % 2 == 0 else (OLD, NEW)


def _keep(pair: Pair, side: str, found: dict[str, Any]) -> None:
    (pair.new if side == NEW else pair.old).append(found)


def _say(pair: Pair, number: int) -> None:
    shown = "  ".join(
        f"{FIGURES[name]} {new[-1]:.6g} : {old[-1]:.6g}" for name, new, old in pair.figures()
    )
    print(f"  {pair.row} {number + 1}: {shown}", file=sys.stderr, flush=True)


def table(pairs: Sequence[Pair], *, markdown: bool = False) -> str:
    """One line per figure of each row: both medians, the ratio's median and its quartiles."""
    head = ("row", "figure", "new", "old", "new / old", "quartiles", "rounds")
    lines = [head]
    for pair in pairs:
        for name, new, old in pair.figures():
            first, median, third = ratios(new, old)
            sides = (f"{statistics.median(new):.5g}", f"{statistics.median(old):.5g}")
            spread = f"{first:.2f} to {third:.2f}"
            lines.append((pair.row, FIGURES[name], *sides, f"{median:.2f}", spread, str(len(new))))
    if markdown:
        marked = ["| " + " | ".join(line) + " |" for line in lines]
        return "\n".join([marked[0], "|---" * len(head) + "|", *marked[1:]])
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def main(against: str, names: Sequence[str], *, rounds: int, scale: float, markdown: bool) -> int:
    """Measure, print, keep; 1 if a message was lost or doubled."""
    known = {row.name: row for row in ROWS}
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no such row: {', '.join(unknown)}; there are {', '.join(known)}")
    CACHE.mkdir(exist_ok=True)
    rows = [known[name] for name in names or known]
    with revision(against) as files:
        at = machine(CACHE)
        trees = {NEW: ROOT / "files", OLD: files}
        pairs = run(in_turns(trees, rows, rounds=rounds, scale=scale))
    print(table(pairs, markdown=markdown))
    wrong = sum(pair.wrong for pair in pairs)
    load = f"load {at['load_1m']} before, {os.getloadavg()[0]:.1f} after"
    print(f"\nnew: this tree; old: {against}. Lost or doubled: {wrong}. {load}.")
    kept = {pair.row: {NEW: pair.new, OLD: pair.old} for pair in pairs}
    OUT.write_text(json.dumps({"machine": at, "against": against, "rows": kept}, indent=1) + "\n")
    return 1 if wrong else 0
