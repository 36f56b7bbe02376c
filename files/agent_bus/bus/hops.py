"""Hops of deliveries after the commit: what was pushed, and what watchers report.

Each is timed at once and stored with others twice per second, so that a hop costs no commit of its
own. Everything here runs in the loop's thread and never blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.core import states
from agent_bus.core.model import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_bus.bus.broker import Entry
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.fanout import Observer
    from agent_bus.core.clock import Clock
    from agent_bus.core.latency import Latency
    from agent_bus.store.contract import Store


class Hops:
    """Times hops, and gathers their stamps for the store.

    Args:
        observers: each hears of every report.
    """

    def __init__(
        self,
        *,
        store: Store,
        counters: Counters,
        latency: Latency,
        observers: Sequence[Observer],
        clock: Clock,
    ) -> None:
        self._store = store
        self._counters = counters
        self._latency = latency
        self._observers = observers
        self._clock = clock
        self._stamps: list[Stamp] = []

    def note_pushed(self, entries: Iterable[Entry]) -> None:
        """Note that these frames were handed to the kernel, in one write."""
        now, at = self._clock.monotonic(), self._clock.now_ms()
        for _, delivery, committed in entries:
            if delivery is None:
                continue
            self._counters.pushed_count += 1
            if committed:
                self._latency.hop(states.PUSHED, (now - committed) * 1000)
            if delivery.pushed_at is None:
                self._stamps.append(Stamp(states.PUSHED, delivery.agent, delivery.seq, at))

    def note_report(self, stamp: Stamp) -> None:
        """Take a watcher's report; it is stored within a second."""
        if stamp.kind in (states.RECEIVED, states.ACCEPTED):
            ago_s = max(0, self._clock.now_ms() - stamp.at) / 1000
            at = self._clock.monotonic() - ago_s
            self._latency.reached(stamp.kind, stamp.agent, stamp.seq, at)
        self._stamps.append(stamp)
        for observer in self._observers:
            observer.on_report(stamp)

    def flush(self) -> None:
        """Hand the gathered stamps to the store; returns at once."""
        stamps, self._stamps = self._stamps, []
        if stamps:
            self._store.stamp(stamps)
