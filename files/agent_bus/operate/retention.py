"""The hub's periodic work: store hops and signs of life; expire, archive and drop."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

from agent_bus.core import errors
from agent_bus.core.clock import DAY_MS
from agent_bus.core.slices import SweepBounds
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.bus.hops import Hops
    from agent_bus.bus.presence import Presence
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import Acked, Sent, Stamp
    from agent_bus.store.contract import Store

logger = logging.getLogger(__name__)

FLUSH_INTERVAL_S: Final = 0.5
"""Hops are durable within a second; two small commits per second cost nothing."""
SWEEP_LIMIT: Final = 200
"""Messages per sweep and transaction: a few milliseconds, so that no send waits long."""
SEEN_EVERY: Final = 60
"""Signs of life are stored with every so many-th flush (30 s)."""
EXPIRY_S: Final = 1.0
"""Expired mail stops counting as unfetched within about this time, whatever the interval of
sweeps. However much expires, it causes at most one sweep in this time."""
LATE_S: Final = 0.01
"""How long after an expiry its sweep comes: timers may be early by milliseconds."""


class Housekeeper:
    """Two greenlets, ended with the process.

    It observes the bus (see `fanout.Observer`), so that it sweeps when the next message expires.

    Args:
        sweep_interval_s: the longest time between two sweeps.
        leads: whether this hub is the one of several that sweeps; two at once do no harm.
    """

    def __init__(
        self,
        *,
        store: Store,
        presence: Presence,
        hops: Hops,
        clock: Clock,
        sweep_interval_s: float,
        retain_read_days: float,
        retain_archive_days: float,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._leads = leads
        self._store = store
        self._presence = presence
        self._hops = hops
        self._clock = clock
        self._interval_s = sweep_interval_s
        self._bounds = SweepBounds(
            retain_read_ms=int(retain_read_days * DAY_MS),
            retain_archive_ms=int(retain_archive_days * DAY_MS),
            limit=SWEEP_LIMIT,
        )
        self._next_expiry: float = math.inf
        self._is_nearer = greenlets.Event()

    def start(self) -> None:
        """Begin; returns at once."""
        greenlets.spawn(self._flush_forever)
        greenlets.spawn(self._sweep_forever)

    def sweep(self) -> int:
        """Sweep until nothing is left to do; answers how many messages were touched."""
        total = 0
        while True:
            touched = self._store.sweep(self._bounds)
            total += touched
            if touched < SWEEP_LIMIT:
                return total
            greenlets.sleep(0.01)

    def on_sent(self, sent: Sent) -> None:
        """A message is durable: it may be the next one to expire."""
        expires_at = sent.message.expires_at
        if expires_at is not None:
            self._expect(expires_at)

    @property
    def shows_all(self) -> bool:
        """Nothing."""
        return False

    def on_passed(self, expires_at: int | None) -> None:
        """Another hub's message is durable: it may be the next one to expire."""
        if expires_at is not None:
            self._expect(expires_at)

    def on_acked(self, acked: Acked) -> None:
        """Deliveries were read: nothing to do, because a needless sweep is harmless."""

    def on_report(self, stamp: Stamp) -> None:
        """A watcher reported what became of a wake: nothing to do."""

    def _expect(self, expires_at: int) -> None:
        if expires_at < self._next_expiry:
            self._next_expiry = expires_at
            self._is_nearer.set()

    def _flush_forever(self) -> None:
        rounds = 0
        while True:
            greenlets.sleep(FLUSH_INTERVAL_S)
            rounds += 1
            try:
                self._hops.flush()
                if rounds % SEEN_EVERY == 0:
                    self._store.touch_agents(self._presence.take_unsaved())
            except Exception:
                logger.exception("Hops and signs of life could not be stored")

    def _sweep_forever(self) -> None:
        while True:
            try:
                expires_at = self._store.next_expiry()
                if expires_at is not None:
                    self._expect(expires_at)
                self._wait()
                self._next_expiry = math.inf
                if self._leads():
                    self.sweep()
            except errors.BusError as error:
                logger.warning("A retention sweep failed: %s", error.detail)
                greenlets.sleep(self._interval_s)
            except Exception:
                logger.exception("A retention sweep failed")
                greenlets.sleep(self._interval_s)

    def _wait(self) -> None:
        """Wait until the next message expires, or the interval is over."""
        clock = self._clock
        deadline = clock.monotonic() + self._interval_s
        while True:
            self._is_nearer.clear()
            expiry_s = (self._next_expiry - clock.steady_ms()) / 1000 + LATE_S
            left_s = min(deadline - clock.monotonic(), max(EXPIRY_S, expiry_s))
            if left_s <= 0 or not self._is_nearer.wait(left_s):
                return
