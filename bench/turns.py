"""Hubs of one or several trees that run at the same time and take turns, round by round."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import scenarios
from bench.peers.ours import ROOT, Ours
from bench.rows import FIGURES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from bench.rows import Row
    from bench.scenarios import Post

    Rounds = dict[str, list[dict[str, Any]]]
    """The figures of each round, by side."""

CACHE: Final = ROOT / ".cache"


@contextlib.asynccontextmanager
async def standing(
    files: Path, *, tls: bool, with_streams: bool
) -> AsyncIterator[tuple[Ours, Post | None]]:
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
    trees: Mapping[str, Path], rows: Sequence[Row], *, rounds: int, scale: float
) -> dict[str, Rounds]:
    """All rows: on kept hubs first, then with TLS, then those with a hub for each round."""
    found: dict[str, Rounds] = {row.name: defaultdict(list) for row in rows}
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
                    for name in order(number, trees):
                        figures = await row.measure(*sides[name], scale=scale)
                        found[row.name][name].append(figures)
                    _say(row.name, number, found[row.name])
    for row in (row for row in rows if row.posted is None):
        for number in range(min(rounds, row.rounds)):
            for name in order(number, trees):
                async with standing(trees[name], tls=row.tls, with_streams=False) as side:
                    found[row.name][name].append(await row.measure(*side, scale=scale))
            _say(row.name, number, found[row.name])
    return found


def order(number: int, names: Mapping[str, object]) -> list[str]:
    """Who is first changes from round to round."""
    listed = list(names)
    first = number % len(listed)
    return listed[first:] + listed[:first]


def _say(row: str, number: int, rounds: Rounds) -> None:
    last = [figures[-1] for figures in rounds.values()]
    shown = "  ".join(
        f"{title} {' : '.join(f'{figures[name]:.6g}' for figures in last)}"
        for name, title in FIGURES.items()
        if all(name in figures for figures in last)
    )
    print(f"  {row} {number + 1}: {shown}", file=sys.stderr, flush=True)
