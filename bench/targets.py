"""The goals, and whether a run reached them: each is a ratio within the run, or a bound.

A ratio is the median of the ratios within the rounds. A figure that one side lacks is neither
reached nor missed: its line says "not run".
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench.report import column, ratios, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RESUMED = 10_000
OURS, NAIVE, SYNCED = "agent-bus", "naive baseline", "JetStream synced"
FASTAPI = "FastAPI + SQLite"
BESIDE_BEFORE: Final = (
    ("load", "server_us", 0.40),
    ("key-close", "server_us", 0.45),
    ("key", "server_us", 0.5),
    ("list", "server_us", 0.5),
    ("reply", "server_us", 0.5),
    ("tls", "server_us", 0.5),
    ("broadcast", "p50_ms", 0.5),
)
"""What this tree may take of what the hub took before decision 57: row, figure, ratio."""


@dataclass(frozen=True)
class Goal:
    """One line: what is measured, what it should be, and what it is (None: not run)."""

    what: str
    wanted: str
    found: float | None
    limit: float
    is_floor: bool = False

    @property
    def verdict(self) -> str:
        """Reached, missed or not run."""
        if self.found is None:
            return "not run"
        is_reached = self.found >= self.limit if self.is_floor else self.found <= self.limit
        return "reached" if is_reached else "missed"

    def line(self) -> str:
        """As a row of the table."""
        found = "-" if self.found is None else f"{self.found:.2f}"
        return f"{self.what:54} {self.wanted:24} {found:>9}  {self.verdict}"


def goals(results: Mapping[str, Any]) -> list[Goal]:
    """All goals against one run's results."""
    return [
        *_compared(results["compared"]),
        *_shaped(results["shapes"]),
        *_alone(results["agent-bus"]),
    ]


def against(found: Mapping[str, Mapping[str, Any]]) -> list[Goal]:
    """The goals beside the hub as it was before decision 57."""
    listed = []
    for row, figure, limit in BESIDE_BEFORE:
        ratio = _ratio(found.get(row, {}), figure, "new", "old")
        what = f"{row}, {'server CPU' if figure == 'server_us' else 'p50'}"
        listed.append(Goal(what, f"<= {limit:g} x before", ratio, limit))
    return listed


def _ratio(sides: Mapping[str, Any], figure: str, of: str, to: str) -> float | None:
    above, below = column(sides.get(of), figure), column(sides.get(to), figure)
    if not above or len(above) != len(below):
        return None
    median = ratios(above, below)[1]
    return None if math.isnan(median) else median


def _compared(found: Mapping[str, Any]) -> Iterator[Goal]:
    def beside(row: str, figure: str, of: str = OURS, to: str = SYNCED) -> float | None:
        return _ratio(found.get(row, {}), figure, of, to)

    cpu = beside("load", "server_us")
    yield Goal("load, server CPU", "<= 1.7 x JetStream's", cpu, 1.7)
    more = beside("load", "per_s")
    yield Goal("load, messages/s", ">= 0.9 x JetStream's", more, 0.9, is_floor=True)
    more = beside("load", "per_s", to=FASTAPI)
    yield Goal("load, messages/s", ">= 4.5 x FastAPI's", more, 4.5, is_floor=True)
    more = beside("load", "per_s", to=NAIVE)
    yield Goal("load, messages/s", ">= 5 x the baseline's", more, 5, is_floor=True)
    yield Goal("at rest, p50", "<= 1.8 x JetStream's", beside("rest", "p50_ms"), 1.8)
    yield Goal("at rest, p99", "<= 4 x JetStream's", beside("rest", "p99_ms"), 4)
    quicker = beside("rest", "p50_ms", of=NAIVE, to=OURS)
    yield Goal("at rest, p50", ">= 500 x the baseline's", quicker, 500, is_floor=True)
    slower = beside("broadcast", "p50_ms")
    yield Goal("broadcast, last stream, p50", "<= 5 x JetStream's", slower, 5)
    for row in ("rest", "load", "broadcast", "fleet"):
        ours = found.get(row, {}).get(OURS)
        lost = float(wrong(ours)) if isinstance(ours, list) else None
        yield Goal(f"{row}, lost or doubled", "0", lost, 0)


def _shaped(found: Mapping[str, Any]) -> Iterator[Goal]:
    def median(row: str, figure: str) -> float | None:
        values = column(found.get(row), figure)
        return statistics.median(values) if values else None

    yield Goal("memory after 10,000 messages, MiB", "<= 60", median("memory", "pss_mib"), 60)
    yield Goal("an idle stream of 1,000, KiB", "<= 10", median("memory", "stream_kib"), 10)
    yield Goal("descriptors of 1,000 closed streams, s", "<= 1", median("closes", "gone_s"), 1)
    rows = [rounds for row, rounds in found.items() if row != "closes"]
    lost = float(sum(wrong(rounds) for rounds in rows)) if rows else None
    yield Goal("real clients' shapes, lost or doubled", "0", lost, 0)


def _alone(found: Mapping[str, Any]) -> Iterator[Goal]:
    streams = found.get("streams", {})
    slower = _over(streams.get("1000"), streams.get("0"), "p50_ms")
    yield Goal("at rest with 1,000 streams open, p50", "<= 1.5 x without", slower, 1.5)
    beside = found.get("neighbours", {})
    slower = _over(beside.get("with"), beside.get("without"), "p99_ms")
    yield Goal("at rest beside a client that pages, p99", "<= 10 x without", slower, 10)
    depth = list(found.get("depth", {}).values())
    for name in ("inbox", "history", "stats"):
        slower = _over(depth[-1][name], depth[0][name], "p99_ms") if depth else None
        yield Goal(f"{name} at the deepest, p99", "<= 3 x at 1k", slower, 3)
    recovery = found.get("recovery", {})
    is_whole = recovery.get("resumed", 0) >= RESUMED
    yield Goal(
        "a resume of 10,000 messages, s", "<= 2", recovery["resume_s"] if is_whole else None, 2
    )


def _over(
    above: Mapping[str, Any] | None, below: Mapping[str, Any] | None, name: str
) -> float | None:
    return float(above[name]) / float(below[name]) if above and below else None
