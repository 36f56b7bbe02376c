"""What the storm guard owes to the store and to the operator, until it is done.

A hold is kept and told, the end of one is kept. What fails (a full disk, no primary for a moment)
stays owed and is done with a later tick. Runs in greenlets of the loop.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_bus.bus.guards import storm_words
from agent_bus.core.guards.storms.ladder import HELD
from agent_bus.core.model import OPERATOR
from agent_bus.store.contract import KEY_LIFETIME_MS
from agent_bus.store.guards.storms import KeptStorm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_bus.bus.guards.notices import Notices
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.storms.ladder import Storm
    from agent_bus.core.guards.storms.signals import StormLimits
    from agent_bus.store.contract import Store
    from agent_bus.store.guards.storms import Storms

logger = logging.getLogger(__name__)

ANSWER_S: Final = 5.0
"""A notice that is not known to be durable after this time is sent again, under its key."""


class Writes(NamedTuple):
    """Where the guard keeps what it decides, and reads what its notices show."""

    storms: Storms
    messages: Store
    notices: Notices


@dataclass(slots=True)
class _Hold:
    storm: Storm
    held_at: int
    tell_at: float
    kept_since_at: int | None
    """The beginning as it is kept; None: it is not."""


class StormRecord:
    """Keeps and tells.

    Args:
        storms: what goes on, by key.
    """

    def __init__(
        self, writes: Writes, limits: StormLimits, *, storms: Mapping[str, Storm], clock: Clock
    ) -> None:
        self._writes = writes
        self._limits = limits
        self._storms = storms
        self._clock = clock
        self._holds: dict[str, _Hold] = {}
        self._ends: set[str] = set()
        self._is_failing = self._is_settling = False

    def __bool__(self) -> bool:
        """Whether anything is owed."""
        return bool(self._holds or self._ends)

    def hold(self, storm: Storm, *, tell_after_s: float) -> None:
        """Owe a hold, and its notice after a while."""
        self._ends.discard(storm.key)
        tell_at = self._clock.monotonic() + tell_after_s
        self._holds[storm.key] = _Hold(storm, self._clock.now_ms(), tell_at, None)

    def remember(self, storm: Storm, kept: KeptStorm) -> None:
        """Owe the notice of a hold that was kept before the start: who knows whether it is told.

        The notice has a key, so there is one. A key counts for a day, and by then it is told.
        """
        if self._clock.now_ms() - kept.held_at < KEY_LIFETIME_MS:
            tell_at = self._clock.monotonic()
            self._holds[storm.key] = _Hold(storm, kept.held_at, tell_at, kept.since_at)

    def end(self, key: str) -> None:
        """Owe the end of a hold."""
        self._ends.add(key)

    def settle(self) -> None:
        """Do what is owed; blocks for the writes. What fails is owed still."""
        if self._is_settling:
            return  # the next tick looks again
        self._is_settling = True
        works = [self._holding(hold) for hold in self._holds.values()]
        works += [self._ending(key) for key in self._ends]
        failed = [work for work in works if not self._is_done(work)]
        self._is_failing = bool(failed)
        self._is_settling = False

    def _is_done(self, work: Callable[[], None]) -> bool:
        """Do something; the first failure in a row is logged."""
        try:
            work()
        except Exception:
            if not self._is_failing:
                logger.exception("What a storm does is not kept or told yet")
            self._is_failing = True
            return False
        return True

    def _holding(self, hold: _Hold) -> Callable[[], None]:
        return lambda: self._hold(hold)

    def _ending(self, key: str) -> Callable[[], None]:
        return lambda: self._end(key)

    def _is_on(self, storm: Storm) -> bool:
        return self._storms.get(storm.key) is storm and storm.level == HELD

    def _hold(self, hold: _Hold) -> None:
        storm = hold.storm
        if self._is_on(storm) and hold.kept_since_at != storm.since_at:
            since_at = storm.since_at
            self._writes.storms.keep(
                KeptStorm(storm.key, storm.signal, storm.agents, since_at, hold.held_at)
            )
            hold.kept_since_at = since_at
            if not self._is_on(storm) and storm.key not in self._storms:
                self._ends.add(storm.key)  # it ended during the write
        if not self._is_on(storm):
            self._drop(hold)
        elif self._clock.monotonic() >= hold.tell_at:
            hold.tell_at = self._clock.monotonic() + ANSWER_S
            self._notify(hold)

    def _end(self, key: str) -> None:
        storm = self._storms.get(key)
        if storm is None or storm.level != HELD:
            self._writes.storms.release(key, at=self._clock.now_ms())
        self._ends.discard(key)

    def _notify(self, hold: _Hold) -> None:
        storm = hold.storm
        shown = self._writes.messages.history(storm_words.last_messages_of(storm))
        self._writes.notices.send(
            [OPERATOR],
            subject=storm_words.subject(storm),
            body=storm_words.body(storm, self._limits, shown),
            key=f"storm {storm.key} {storm.since_at}",
            data={"storm": storm.key, "signal": storm.signal, "agents": list(storm.agents)},
            rank=1,
            then=lambda _: self._drop(hold),
        )

    def _drop(self, hold: _Hold) -> None:
        if self._holds.get(hold.storm.key) is hold:
            del self._holds[hold.storm.key]
