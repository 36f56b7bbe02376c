"""The hub's own periodic work: keep hops and signs of life, expire, archive and drop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from agent_bus import errors, runtime

if TYPE_CHECKING:
    from agent_bus.bus import Bus

logger = logging.getLogger(__name__)

FLUSH_INTERVAL_S: Final = 0.5
"""Hops are durable within a second; one small commit twice a second costs nothing."""
SWEEP_LIMIT: Final = 200
"""Messages a sweep touches in one transaction: a few milliseconds, so no send waits long."""
SEEN_EVERY: Final = 60
"""Signs of life are kept every so many flushes (30 s)."""


class Housekeeper:
    """Two greenlets, ended with the process."""

    def __init__(
        self,
        bus: Bus,
        *,
        sweep_interval_s: float,
        retain_read_days: float,
        retain_archive_days: float,
    ) -> None:
        self._bus = bus
        self._interval_s = sweep_interval_s
        self._retain_read_ms = int(retain_read_days * 86_400_000)
        self._retain_archive_ms = int(retain_archive_days * 86_400_000)

    def start(self) -> None:
        """Begin; returns at once."""
        runtime.spawn(self._flush_forever)
        runtime.spawn(self._sweep_forever)

    def sweep(self) -> int:
        """Sweep until a round leaves nothing more to do; answers how many were touched."""
        total = 0
        while True:
            touched = self._bus.store.sweep(
                retain_read_ms=self._retain_read_ms,
                retain_archive_ms=self._retain_archive_ms,
                limit=SWEEP_LIMIT,
            )
            total += touched
            if touched < SWEEP_LIMIT:
                return total
            runtime.sleep(0.01)

    def _flush_forever(self) -> None:
        rounds = 0
        while True:
            runtime.sleep(FLUSH_INTERVAL_S)
            rounds += 1
            try:
                self._bus.flush_stamps()
                if rounds % SEEN_EVERY == 0:
                    self._bus.store.touch_agents(self._bus.presence.take_unsaved())
            except Exception:
                logger.exception("Hops could not be handed to the store")

    def _sweep_forever(self) -> None:
        while True:
            runtime.sleep(self._interval_s)
            try:
                self.sweep()
            except errors.BusError as error:
                logger.warning("A retention sweep failed: %s", error.detail)
            except Exception:
                logger.exception("A retention sweep failed")
