"""What a store keeps about wakes: what is paused, and how many wakes there were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.guards.pauses import Pause, Scope
    from agent_bus.core.guards.wakes import Wake, WakeCount


class WakeBook(Protocol):
    """Pauses are durable when a call returns; wakes are kept within a second."""

    def pauses(self) -> list[Pause]:
        """All pauses that were put and not ended; the time of some may be over."""

    def put_pause(self, pause: Pause) -> None:
        """Keep a pause, instead of one of the same name; where there are hubs, all hear of it.

        Raises:
            errors.BusError: it is not kept.
        """

    def end_pause(self, scope: Scope, name: str) -> None:
        """Forget a pause, if there is one; where there are hubs, all hear of it.

        Raises:
            errors.BusError: it is kept on.
        """

    def note(self, wakes: Sequence[Wake]) -> None:
        """Count wakes, each for the sender of its newest delivery; returns at once."""

    def counts(self, *, since: int) -> list[WakeCount]:
        """How many wakes there were since a wall-clock time (ms), oldest first."""

    def tidy(self, *, now: int) -> None:
        """Count what is older than two days per hour, and drop what is too old; returns at once.

        The time of a pause may be over: it goes, too.
        """
