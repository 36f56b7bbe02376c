"""Tables, padded for a terminal or as Markdown for a page; and the statistics in them."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

from bench.rows import FIGURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.targets import Goal

    Line = Sequence[str]

SHOWN: Final = ("server_us", "client_us", "per_s", "p50_ms", "p99_ms")
TITLES: Final = {**FIGURES, "p99_ms": "p99 ms"}
UNSHOWN: Final = ("n", "lost", "doubled", "max_ms")
"""What a table of growth leaves out; the goals count what was lost or doubled."""


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """First quartile, median, third quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, median, third


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """Quartiles of the ratio within each round; a round whose lower figure is 0 says nothing."""
    each = [one / other for one, other in zip(above, below, strict=True) if other]
    return quartiles(each) if each else (float("nan"),) * 3


def column(rounds: object, name: str) -> list[float]:
    """A figure of each round; empty where it is missing or nothing was run."""
    if not isinstance(rounds, list) or any(name not in one for one in rounds):
        return []
    return [float(one[name]) for one in rounds]


def wrong(rounds: object) -> int:
    """How many messages were lost or doubled."""
    if not isinstance(rounds, list):
        return 0
    return sum(one.get(name, 0) for one in rounds for name in ("lost", "doubled"))


def render(lines: Sequence[Line], *, markdown: bool) -> str:
    """A table; the first line is its head."""
    if markdown:
        marked = ["| " + " | ".join(line) + " |" for line in lines]
        return "\n".join([marked[0], "|---" * len(lines[0]) + "|", *marked[1:]])
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def pairs(found: Mapping[str, Mapping[str, Any]]) -> Iterator[Line]:
    """Per figure of each row: both medians, the ratio's median and its quartiles."""
    yield ("row", "figure", "new", "old", "new / old", "quartiles", "rounds")
    for row, sides in found.items():
        for name, title in FIGURES.items():
            new, old = column(sides["new"], name), column(sides["old"], name)
            if not new or not old:
                continue
            first, median, third = ratios(new, old)
            spread = f"{first:.2f} to {third:.2f}"
            yield (
                *(row, title, _number(new), _number(old)),
                *(f"{median:.2f}", spread, str(len(new))),
            )


def compared(found: Mapping[str, Mapping[str, Any]]) -> Iterator[Line]:
    """Per figure of each row: the median of each peer, and the first one's ratio to the second.

    "-" is where it was not run.
    """
    peers = list(next(iter(found.values()), {}))
    yield ("row", "figure", *peers, " / ".join(peers[:2]))
    for row, sides in found.items():
        for name in SHOWN:
            columns = [column(sides[peer], name) for peer in peers]
            if any(columns):
                first, second = (columns * 2)[:2]  # alone, it is beside itself
                yield (
                    *(row, TITLES[name]),
                    *(_number(values) for values in columns),
                    _ratio(first, second),
                )


def shapes(found: Mapping[str, Any]) -> Iterator[Line]:
    """Per row of the hub's: the median of each figure that any row has."""
    names = [n for n in TITLES if any(column(rounds, n) for rounds in found.values())]
    yield ("row", *(TITLES[name] for name in names))
    for row, rounds in found.items():
        yield (row, *(_number(column(rounds, name)) for name in names))


def growth(found: Mapping[str, Any]) -> Iterator[Line]:
    """How the hub's cost grows with senders, streams and stored messages."""
    yield ("what", "at", "figures")
    for name, by_count in found.items():
        for at, figures in by_count.items():
            shown = figures if isinstance(figures, dict) else {"": figures}
            yield (name, str(at), _listed(shown))


def verdicts(goals: Sequence[Goal]) -> Iterator[Line]:
    """The goals, each with what was found."""
    yield ("goal", "wanted", "found", "verdict")
    for goal in goals:
        found = "-" if goal.found is None else f"{goal.found:.2f}"
        yield (goal.what, goal.wanted, found, goal.verdict)


def _listed(figures: Mapping[str, Any]) -> str:
    parts = []
    for name, value in figures.items():
        if isinstance(value, dict):
            parts.append(f"{name} p50 {value['p50_ms']:.3g}, p99 {value['p99_ms']:.3g} ms")
        elif name not in UNSHOWN:
            parts.append(f"{TITLES.get(name, name)} {_number([value])}".strip())
    return "; ".join(parts)


def _ratio(above: Sequence[float], below: Sequence[float]) -> str:
    return f"{ratios(above, below)[1]:.2f}" if len(above) == len(below) > 0 else "-"


def _number(values: Sequence[float]) -> str:
    if not values:
        return "-"
    median = statistics.median(values)
    return f"{median:,.0f}" if median >= 100 else f"{median:.3g}"
