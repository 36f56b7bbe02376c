"""What one hub does for all: forget what nobody needs any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.store.postgres.cluster import statements
from agent_bus.store.postgres.cluster.statements import Statement

if TYPE_CHECKING:
    from agent_bus.core.clock import Clock
    from agent_bus.store.postgres.cluster.statements import Me

EVERY_S: Final = 60.0
KEPT_S: Final = 600.0
"""How long changes are kept; a hub that was away for longer starts anew."""
FORGET_MS: Final = 24 * 3600 * 1000
"""A hub that was not seen for this time is not shown any more."""


class Chores:
    """Remembers which position was reached when, and so which changes are old."""

    def __init__(self, me: Me, clock: Clock) -> None:
        self._me = me
        self._clock = clock
        self._done = clock.monotonic()
        self._marks: list[tuple[float, int]] = []

    def due(self, told: int) -> list[Statement]:
        """What is to be done now, `told` being the newest position that is known."""
        now = self._clock.monotonic()
        if now - self._done < EVERY_S:
            return []
        self._done = now
        self._marks.append((now, told))
        old = [pos for at, pos in self._marks if now - at >= KEPT_S]
        self._marks = [mark for mark in self._marks if now - mark[0] < KEPT_S]
        since = self._clock.now_ms() - FORGET_MS
        found = [
            Statement(statements.FORGET_HUBS, (since, self._me.name)),
            Statement(statements.FORGET_LEASES, (since,)),
        ]
        if old:
            found.append(Statement(statements.PRUNE, (max(old),)))
        return found
