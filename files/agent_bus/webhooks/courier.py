"""Delivers the events of one webhook or channel, as long as this hub is the one that does so.

One greenlet takes what is due, a `Way` tries it, and what became of it is kept with the next
taking. So a hub that dies has kept each delivered event but those of its last round, which come
once more, with the same ids.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from agent_bus.core import errors
from agent_bus.runtime import greenlets
from agent_bus.store.outgoing import Report, Settled
from agent_bus.webhooks import schedule
from agent_bus.webhooks.schedule import AWAY, DELIVERED, GONE, HELD, UNWANTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.core.clock import Clock
    from agent_bus.store.outgoing import Outgoing, Waiting
    from agent_bus.webhooks.schedule import Attempt

logger = logging.getLogger(__name__)

ROUND: Final = 64
"""Events that are taken at once: how many a hub that is killed may deliver twice."""
IDLE_S: Final = 3600.0
"""The longest wait; then what nobody takes any more is given up."""
KEPT_S: Final = 15.0
"""How long connections are kept that nothing goes over."""
LATE_S: Final = 0.005
"""Timers may be early by milliseconds."""
PAUSE_S: Final = 5.0
"""After what happened could not be stored, as with a full disk."""


@dataclass(frozen=True, slots=True)
class Tried:
    """An event and what its attempt came to."""

    event: Waiting
    attempt: Attempt


class Way(Protocol):
    """How events reach one receiver."""

    def post(self, events: Sequence[Waiting]) -> list[Tried]:
        """Try events, and answer what came of those that were tried; raises nothing."""

    def close(self) -> None:
        """Let go of what is kept open between rounds."""


class Courier:
    """What waits for one name of the queue, and its way.

    Args:
        name: in the queue.
        what: the log's words for it, as in `Webhook ops`.
        leads: whether this hub delivers; asked before each round.
        most: events that are taken at once.
        keeps_tellings: whether the timelines of messages show what was delivered.
        longest_delay_s: the longest time before an event that failed is tried again.
    """

    def __init__(
        self,
        name: str,
        way: Way,
        *,
        what: str,
        outgoing: Outgoing,
        clock: Clock,
        leads: Callable[[], bool],
        most: int = ROUND,
        keeps_tellings: bool = False,
        longest_delay_s: float = schedule.DELAYS_S[-1],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._what = what
        self._way = way
        self._most = most
        self._keeps_tellings = keeps_tellings
        self._longest_delay_ms = round(longest_delay_s * 1000)
        self._outgoing = outgoing
        self._clock = clock
        self._leads = leads
        self._chance = chance
        self._is_called = greenlets.Event()
        self._settled: list[Settled] = []
        self._report: Report | None = None
        self._failures = 0

    def start(self) -> None:
        """Begin; returns at once."""
        greenlets.spawn(self._deliver_forever)

    def call(self) -> None:
        """Look now: there is something to deliver, or this hub's turn has come."""
        self._is_called.set()

    def _deliver_forever(self) -> None:
        while True:
            try:
                wait_s = self.deliver()
            except errors.BusError as error:
                logger.warning("%s waits: %s", self._what, error.detail)
                wait_s = PAUSE_S
            except Exception:
                logger.exception("%s: a round failed", self._what)
                wait_s = PAUSE_S
            if wait_s > 0 and not self._is_called.wait(min(wait_s, KEPT_S)):
                self._way.close()
                self._is_called.wait(max(0.0, wait_s - KEPT_S))
            self._is_called.clear()

    def deliver(self) -> float:
        """One round; answers after how many seconds the next one should come."""
        leads = self._leads()
        if not leads and self._report is None:
            return IDLE_S
        failures = self._failures if self._report is None else self._report.failures
        take = (1 if failures else self._most) if leads else 0
        taken = self._outgoing.exchange(self._name, self._settled, self._report, take=take)
        self._settled, self._report = [], None
        was_failing, self._failures = self._failures, taken.failures
        if was_failing > 1 and not taken.failures:
            self._hasten()
        if taken.is_disabled:
            before = self._clock.steady_ms() - schedule.GIVEN_UP_MS
            self._report = Report(failures=taken.failures, given_up_before=before)
        if not taken.events:
            return self._left_s(taken.next_at)
        self._note(self._way.post(taken.events[:1] if taken.failures else taken.events))
        return 0.0

    def _left_s(self, next_at: int | None) -> float:
        if next_at is None:
            return IDLE_S
        left_s = max(0.0, (next_at - self._clock.steady_ms()) / 1000) + LATE_S
        return min(IDLE_S, left_s)

    def _note(self, tried: Sequence[Tried]) -> None:
        """What the next exchange keeps of a round."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        told_at = now if self._keeps_tellings else None
        real = [one for one in tried if one.attempt.verdict not in {HELD, UNWANTED}]
        delivered = [one for one in real if one.attempt.verdict == DELIVERED]
        failed = [one for one in real if one.attempt.verdict != DELIVERED]
        away = [one.attempt for one in failed if one.attempt.verdict in {AWAY, GONE}]
        failures = self._failures
        if real:
            failures = 0 if len(away) < len(real) else failures + 1
        self._settled = [Settled(one.event.pk, None, told_at=told_at) for one in delivered]
        self._settled += [_passed_over(one, steady) for one in tried if one not in real]
        again = [Settled(one.event.pk, self._next_attempt(one, steady)) for one in failed]
        self._settled += again
        dead = sum(one.next_at is None for one in again)
        asked_s = max((one.retry_after_s or 0.0 for one in away), default=0.0) or None
        held_until = 0
        if real and (failures or asked_s):
            held_until = steady + schedule.hold_ms(max(failures, 1), asked_s, chance=self._chance)
        is_long_away = failures >= schedule.LONG_AWAY
        error = failed[-1].attempt.words if failed else None
        self._report = Report(
            delivered=len(delivered),
            dead=dead,
            failures=failures,
            held_until=held_until,
            succeeded_at=now if delivered else None,
            failed_at=now if failed else None,
            error=error,
            disabled_at=now if any(one.verdict == GONE for one in away) else None,
            lost_at=now if dead else None,
            given_up_before=steady - schedule.GIVEN_UP_MS if is_long_away else None,
        )
        if real:
            is_gone = self._report.disabled_at is not None
            self._tell(failures, error, dead=dead, is_gone=is_gone)

    def _next_attempt(self, one: Tried, steady: int) -> int | None:
        planned = schedule.next_attempt(
            one.event.attempts + 1, one.event.queued_at, steady, chance=self._chance
        )
        return None if planned is None else min(planned, steady + self._longest_delay_ms)

    def _tell(self, failures: int, error: str | None, *, dead: int, is_gone: bool) -> None:
        """Log what changes; the same failure again is not news."""
        what = self._what
        if is_gone:
            logger.error("%s: its receiver said 410 Gone, so it is disabled", what)
        elif failures == 1:
            logger.warning("%s fails: %s", what, error)
        elif not failures and self._failures:
            logger.info("%s delivers again", what)
        if dead:
            logger.error("%s: %d events were given up after three days", what, dead)

    def _hasten(self) -> None:
        """After the receiver was away: let all that waits for it go out now."""
        while self._outgoing.hasten(self._name):
            greenlets.sleep(0.01)


def _passed_over(one: Tried, steady: int) -> Settled:
    """What becomes of an event that was not tried: its time has not come, or nobody wants it."""
    if one.attempt.verdict == UNWANTED:
        return Settled(one.event.pk, None)
    later_ms = round((one.attempt.retry_after_s or 0.0) * 1000)
    return Settled(one.event.pk, steady + later_ms, is_attempt=False)
