"""Samples of the hub's counters: one every 10 s, for an hour. Rates and lines come from them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_bus.bus.counters import Counters
    from agent_bus.core.clock import Clock
    from agent_bus.core.latency import Latency
    from agent_bus.core.states import HopName
    from agent_bus.operate.reserves import Remaining, Reserves
    from agent_bus.store.contract import Vitals

SAMPLE_S: Final = 10.0
SAMPLES: Final = 360
"""An hour of samples, 1 KB each."""


class Sample(NamedTuple):
    """One moment: monotonic and wall time, totals, histograms, refusals, what is left."""

    at: float
    wall: int
    sent: int
    pushed: int
    acked: int
    hops: dict[HopName, list[int]]
    disk: dict[str, list[int]]
    refusals: dict[str, int]
    wal_bytes: int
    left: Remaining


class Samples:
    """Takes and keeps samples; the first one when it is made.

    Args:
        refusals: problems answered so far, by code.
        reserves: what runs out.
    """

    def __init__(
        self,
        *,
        vitals: Vitals,
        counters: Counters,
        latency: Latency,
        refusals: Mapping[str, int],
        reserves: Reserves,
        clock: Clock,
    ) -> None:
        self._vitals = vitals
        self._counters = counters
        self._latency = latency
        self._refusals = refusals
        self._reserves = reserves
        self._clock = clock
        self.kept: deque[Sample] = deque(maxlen=SAMPLES)
        self.take()

    @property
    def newest(self) -> Sample:
        """The last one taken."""
        return self.kept[-1]

    def is_due(self) -> bool:
        """Whether it is time for the next one."""
        return self._clock.monotonic() - self.newest.at >= SAMPLE_S

    def take(self) -> None:
        """Take one; blocks the greenlet for two reads of the database."""
        self.kept.append(
            Sample(
                at=self._clock.monotonic(),
                wall=self._clock.now_ms(),
                sent=self._counters.accepted_count,
                pushed=self._counters.pushed_count,
                acked=self._counters.acked_count,
                hops={hop: list(of.histogram.counts) for hop, of in self._latency.hops.items()},
                disk={name: list(h.counts) for name, h in self._vitals.histograms().items()},
                refusals=dict(self._refusals),
                wal_bytes=self._vitals.counts()["wal_bytes"],
                left=self._reserves.look(),
            )
        )

    def since(self, seconds: float) -> Sample:
        """The oldest sample that is not older than this, or the newest."""
        start = self._clock.monotonic() - seconds
        return next((one for one in self.kept if one.at >= start), self.newest)

    def refused_since(self, then: Sample, *codes: str) -> int:
        """How many requests were answered with one of these problems since a sample."""
        return sum(self._refusals.get(c, 0) - then.refusals.get(c, 0) for c in codes)
