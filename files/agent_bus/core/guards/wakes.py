"""What is counted of wakes: each one that a gateway accepted and that begins a paid turn."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_bus.core.model import AgentName, Seq
    from agent_bus.core.states import WakeKind

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MINUTES_KEPT_MS: Final = 2 * DAY_MS
"""Counts per minute are kept for this long, then per hour: a budget looks back 24 hours."""
COUNTS_KEPT_MS: Final = 90 * DAY_MS
"""A quarter of a year: what a bill is compared with."""
UNKNOWN_SENDER: Final = ""
"""Stands for the sender of a wake whose mail is no longer known."""


@dataclass(frozen=True, slots=True)
class Wake:
    """A wake that a gateway accepted, at a wall-clock time (ms).

    `seq` is the newest delivery that it stands for: its sender is who caused the wake.
    """

    agent: AgentName
    seq: Seq
    at: int
    kind: WakeKind


@dataclass(frozen=True, slots=True)
class WakeCount:
    """How many wakes of one kind an agent had in a minute or an hour that began at `slot_at`."""

    slot_at: int
    agent: AgentName
    sender: str
    kind: WakeKind
    count: int


@dataclass(frozen=True, slots=True)
class Day:
    """An agent's wakes of one day (UTC), by kind."""

    day_at: int
    agent: AgentName
    kinds: dict[WakeKind, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.kinds.values())


def by_day(counts: Iterable[WakeCount]) -> list[Day]:
    """Days of agents, the newest first, then by name."""
    found: dict[tuple[int, AgentName], dict[WakeKind, int]] = {}
    for one in counts:
        kinds = found.setdefault((one.slot_at - one.slot_at % DAY_MS, one.agent), {})
        kinds[one.kind] = kinds.get(one.kind, 0) + one.count
    return [Day(*key, kinds) for key, kinds in sorted(found.items(), key=_newest)]


def by_sender(counts: Iterable[WakeCount]) -> list[tuple[str, AgentName, int]]:
    """(sender, agent that was woken, how many), the most first."""
    found: Counter[tuple[str, AgentName]] = Counter()
    for one in counts:
        found[one.sender, one.agent] += one.count
    return [(*pair, count) for pair, count in sorted(found.items(), key=lambda p: (-p[1], p[0]))]


def first_day(now: int, days: int) -> int:
    """When the first of the last `days` days (UTC) began; today counts."""
    return now - now % DAY_MS - (days - 1) * DAY_MS


def _newest(entry: tuple[tuple[int, AgentName], object]) -> tuple[int, AgentName]:
    (day_at, agent), _ = entry
    return -day_at, agent
