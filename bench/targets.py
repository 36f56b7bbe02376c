"""The goals, and whether a run reached them: each is a ratio within the run, or a bound.

A figure that one side lacks is neither reached nor missed: its line says "not run".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

RESUMED = 10_000
OURS, NAIVE, SYNCED = "agent-bus", "naive baseline", "JetStream synced"


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


def goals(results: dict[str, Any]) -> list[Goal]:
    """All goals of the issue against one run's results."""
    return [*_compared(results["compared"]), *_alone(results["agent-bus"])]


def _compared(found: dict[str, Any]) -> Iterator[Goal]:
    def ratio(scenario: str, figure: str, of: str, to: str) -> float | None:
        above = found.get(of, {}).get(scenario, {}).get(figure)
        below = found.get(to, {}).get(scenario, {}).get(figure)
        return above / below if above and below else None

    def synced(what: str, scenario: str, figure: str, limit: float) -> Goal:
        wanted = f"<= {limit:g} x JetStream's"
        return Goal(what, wanted, ratio(scenario, figure, OURS, SYNCED), limit)

    yield synced("at rest, p50", "rest", "p50_ms", 2)
    yield synced("at rest, p99", "rest", "p99_ms", 4)
    quicker = ratio("rest", "p50_ms", NAIVE, OURS)
    yield Goal("at rest, p50", ">= 500 x the baseline's", quicker, 500, is_floor=True)
    more = ratio("load", "per_s", OURS, SYNCED)
    yield Goal("load, messages/s", ">= 1 x JetStream's", more, 1, is_floor=True)
    more = ratio("load", "per_s", OURS, NAIVE)
    yield Goal("load, messages/s", ">= 5 x the baseline's", more, 5, is_floor=True)
    yield synced("fan-out, last stream, p50", "fanout", "p50_ms", 5)
    for scenario in ("rest", "load", "fanout", "fleet"):
        ours = found.get(OURS, {}).get(scenario)
        wrong = None if ours is None else float(ours["lost"] + ours["doubled"])
        yield Goal(f"{scenario}, lost or doubled", "0", wrong, 0)


def _alone(found: dict[str, Any]) -> Iterator[Goal]:
    streams = found.get("streams", {})
    for count in ("1000", "5000"):
        each = streams.get(count, {}).get("kib_per_stream")
        yield Goal(f"an idle stream of {count}, KiB", "<= 20", each, 20)
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


def _over(above: dict[str, Any] | None, below: dict[str, Any] | None, name: str) -> float | None:
    return above[name] / below[name] if above and below else None
