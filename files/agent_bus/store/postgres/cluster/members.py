"""Who lives among the hubs, judged by what this one hears of them; pure but for the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent_bus.core.clock import Clock

DEAD_S: Final = 6.0
"""A hub that was not heard for this time has lost its leases."""
STALL_S: Final = 3.0
"""After this time without hearing anything, a hub does not know any more who else lives."""


class Members:
    """The other processes that this one has heard.

    Args:
        name: this process.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._heard: dict[str, float] = {}
        self._told: dict[str, int] = {}
        self.acked = self.since = clock.monotonic()
        """When a write of this hub was acknowledged last: until then it has heard everything; and
        since when without a long pause."""

    def __bool__(self) -> bool:
        """Whether there may be others."""
        return bool(self._heard)

    def hear(self, name: str) -> None:
        """Note that another process has done something."""
        self._heard[name] = self._clock.monotonic()

    def hear_told(self, name: str, told: int) -> None:
        """Note up to where another process has heard all."""
        self._told[name] = told

    def drop(self, name: str) -> None:
        """Forget a process that has ended."""
        self._heard.pop(name, None)
        self._told.pop(name, None)

    def acknowledge(self) -> None:
        """Note that a write of this hub was acknowledged, and brought along what others did.

        While this hub heard nothing, the others' silence says nothing.
        """
        now = self._clock.monotonic()
        gap_s = now - self.acked
        if gap_s > STALL_S:
            self._heard = {name: at + gap_s for name, at in self._heard.items()}
            self.since = now
        self.acked = now

    def lives(self, name: str) -> bool:
        """Whether a process was heard within the last seconds in which this one heard anything."""
        if name == self._name:
            return True
        now = self._clock.monotonic()
        if now - self.acked > STALL_S:
            now = self.acked
        at = self._heard.get(name)
        return at is not None and now - at < DEAD_S

    def live_count(self) -> int:
        """How many live, this one counted."""
        return 1 + sum(map(self.lives, self._heard))

    def is_first(self) -> bool:
        """Whether this process comes before all others that live, by name."""
        return all(self._name < name for name in self._heard if self.lives(name))

    def behind(self, pos: int) -> list[str]:
        """Those that live and have not heard all up to a position."""
        return [name for name in self._heard if self.lives(name) and self._told.get(name, 0) < pos]
