"""A hold: why an agent is not woken now, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_bus.core import states

if TYPE_CHECKING:
    from agent_bus.core.states import HoldReason

FAR_AT: Final = 253_402_300_799_000
"""The end of a hold without an end, for watchers that only know `muted_until`: the last second of
the year 9999."""


@dataclass(frozen=True, slots=True)
class Hold:
    """An agent's wakes are held; its mail is not.

    `until_at` is the wall-clock ms at which it ends by itself; None: somebody has to end it.
    """

    reason: HoldReason
    until_at: int | None = None

    @property
    def told_until_at(self) -> int:
        """The end as watchers are told it, who only ask whether there is one."""
        return FAR_AT if self.until_at is None else self.until_at


def strongest(holds: list[Hold]) -> Hold | None:
    """The hold that is shown when there are several: what a person did before what is counted."""
    return min(holds, key=lambda hold: states.HOLD_REASONS.index(hold.reason), default=None)
