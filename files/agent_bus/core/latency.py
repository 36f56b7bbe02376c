"""How long hops take: quantiles of the newest observations, and histograms since the start.

Observing costs about a microsecond and never blocks; metrics and `/api/stats` only read.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.model import AgentName, Seq
    from agent_bus.core.states import HopName, WakeEvent

KEPT: Final = 2000
QUANTILES: Final = (0.5, 0.9, 0.99)
HOP_BOUNDS_MS: Final = (
    0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 15_000, 60_000, 300_000,
    1_800_000,
)  # fmt: skip
"""From a push on loopback up to an agent that was woken by nothing but its 30-minute heartbeat."""
REMEMBERED: Final = 1000
"""Deliveries per agent whose hops can be timed; an agent further behind is not timed."""


class Histogram:
    """Counts of observations up to each bound; one thread observes, any may read."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Durations:
    """Durations of one kind, in milliseconds: all of them counted, the newest kept."""

    __slots__ = ("histogram", "recent")

    def __init__(self) -> None:
        self.histogram = Histogram(HOP_BOUNDS_MS)
        self.recent: deque[float] = deque(maxlen=KEPT)


class _Stored:
    """When an agent's newest deliveries were committed: numbers side by side, 16 bytes for each.

    As tuples they took 1.5 MB for each 10,000.
    """

    __slots__ = ("ats", "seqs")

    def __init__(self) -> None:
        self.seqs = array("q")
        self.ats = array("d")

    def add(self, seq: Seq, at: float) -> None:
        """Add one; its seq is the highest so far."""
        self.seqs.append(seq)
        self.ats.append(at)
        if len(self.seqs) > 2 * REMEMBERED:
            del self.seqs[:-REMEMBERED]
            del self.ats[:-REMEMBERED]

    def between(self, before: int, up_to: Seq) -> array[float]:
        """The times of those past `before`, up to `up_to`, as far as they are remembered."""
        first = max(bisect_right(self.seqs, before), len(self.seqs) - REMEMBERED)
        return self.ats[first : bisect_right(self.seqs, up_to)]


class Latency:
    """How long deliveries take from their commit to each hop, and watchers' calls to wake."""

    def __init__(self) -> None:
        self.hops: dict[HopName, Durations] = defaultdict(Durations)
        self.wakes: dict[WakeEvent, Durations] = defaultdict(Durations)
        self._stored: dict[AgentName, _Stored] = {}
        self._reached: dict[tuple[HopName, AgentName], Seq] = {}

    def hop(self, name: HopName, duration_ms: float) -> None:
        """Add how long one delivery took from its commit to a hop."""
        durations = self.hops[name]
        durations.recent.append(duration_ms)
        durations.histogram.observe(duration_ms)

    def wake(self, event: WakeEvent, duration_ms: float) -> None:
        """Add how long a watcher's call took, by what came of it."""
        durations = self.wakes[event]
        durations.recent.append(duration_ms)
        durations.histogram.observe(duration_ms)

    def stored(self, agent: AgentName, seq: Seq, at: float) -> None:
        """Remember when a delivery was committed (monotonic seconds)."""
        stored = self._stored.get(agent)
        if stored is None:
            stored = self._stored[agent] = _Stored()
        stored.add(seq, at)

    def reached(self, hop: HopName, agent: AgentName, up_to: Seq, at: float) -> None:
        """Observe `hop` for each delivery to the agent, up to a seq, that first reaches it now.

        Deliveries from before the hub's start are not timed: the monotonic time of their commit
        is gone.
        """
        key = (hop, agent)
        before = self._reached.get(key, 0)
        if up_to <= before:
            return
        self._reached[key] = up_to
        stored = self._stored.get(agent)
        if stored is not None:
            for stored_at in stored.between(before, up_to):
                self.hop(hop, max(0.0, (at - stored_at) * 1000))

    def quantiles(self) -> dict[str, dict[str, float]]:
        """{"stored_to_pushed": {"count": n, "p50": ms, "p90": ms, "p99": ms, "max": ms}, ...}."""
        named = {f"stored_to_{hop}": durations for hop, durations in self.hops.items()}
        named |= {f"wake_{event}": durations for event, durations in self.wakes.items()}
        return {name: _summary(sorted(durations.recent)) for name, durations in named.items()}


def quantile(counts: Sequence[int], bounds: Sequence[float], q: float) -> float:
    """A quantile of a histogram, linear within its bucket, as Prometheus computes it; 0 if empty.

    Above the last bound it is that bound.
    """
    wanted = sum(counts) * q
    below = 0
    for number, count in enumerate(counts):
        if count and below + count >= wanted:
            if number == len(bounds):
                break
            low = bounds[number - 1] if number else 0.0
            return low + (bounds[number] - low) * (wanted - below) / count
        below += count
    return bounds[-1] if wanted else 0.0


def _summary(ordered: list[float]) -> dict[str, float]:
    last = len(ordered) - 1
    found = {f"p{q * 100:g}": round(ordered[round(q * last)], 3) for q in QUANTILES}
    return {"count": len(ordered), **found, "max": round(ordered[-1], 3)}
