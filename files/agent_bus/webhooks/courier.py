"""Delivers the events of one webhook, as long as this hub is the one that does so.

One greenlet takes what is due, a few others post it, and what became of it is kept with the next
taking. So a hub that dies has kept each delivered event but those of its last round, which come
once more, with the same ids.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_bus.core import errors
from agent_bus.runtime import greenlets
from agent_bus.store.outgoing import Report, Settled
from agent_bus.webhooks import payload, schedule
from agent_bus.webhooks.schedule import AWAY, DELIVERED, GONE, REFUSED, Attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.core.clock import Clock
    from agent_bus.store.outgoing import Outgoing, Waiting
    from agent_bus.webhook_settings import Webhook
    from agent_bus.webhooks.post import Receiver

logger = logging.getLogger(__name__)

AT_ONCE: Final = 4
"""Requests at once to one receiver; events of one agent go one after the other."""
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


class Courier:
    """One webhook's deliveries.

    Args:
        receivers: the ways to the receiver, each for one greenlet at a time.
        leads: whether this hub delivers; asked before each round.
    """

    def __init__(
        self,
        webhook: Webhook,
        receivers: Sequence[Receiver],
        *,
        outgoing: Outgoing,
        clock: Clock,
        leads: Callable[[], bool],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._webhook = webhook
        self._receivers = receivers
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
                logger.warning("Webhook %s waits: %s", self._webhook.name, error.detail)
                wait_s = PAUSE_S
            except Exception:
                logger.exception("A round of the webhook %s failed", self._webhook.name)
                wait_s = PAUSE_S
            if wait_s > 0 and not self._is_called.wait(min(wait_s, KEPT_S)):
                self._close()
                self._is_called.wait(max(0.0, wait_s - KEPT_S))
            self._is_called.clear()

    def deliver(self) -> float:
        """One round; answers after how many seconds the next one should come."""
        leads = self._leads()
        if not leads and self._report is None:
            return IDLE_S
        failures = self._failures if self._report is None else self._report.failures
        take = (1 if failures else ROUND) if leads else 0
        taken = self._outgoing.exchange(self._webhook.name, self._settled, self._report, take=take)
        self._settled, self._report = [], None
        was_failing, self._failures = self._failures, taken.failures
        if was_failing > 1 and not taken.failures:
            self._hasten()
        if taken.is_disabled:
            before = self._clock.steady_ms() - schedule.GIVEN_UP_MS
            self._report = Report(failures=taken.failures, given_up_before=before)
        if not taken.events:
            return self._left_s(taken.next_at)
        self._note(self._post(taken.events[:1] if taken.failures else taken.events))
        return 0.0

    def _left_s(self, next_at: int | None) -> float:
        if next_at is None:
            return IDLE_S
        left_s = max(0.0, (next_at - self._clock.steady_ms()) / 1000) + LATE_S
        return min(IDLE_S, left_s)

    def _post(self, events: Sequence[Waiting]) -> list[Tried]:
        """Post events; those of one agent in their order, the first failure ends its part."""
        parts: list[list[Waiting]] = [[] for _ in self._receivers]
        places: dict[str, int] = {}
        for event in events:
            agent = event.delivery.agent
            place = places.setdefault(agent, len(places) % len(parts))
            parts[place].append(event)
        works = [
            lambda receiver=receiver, part=part: self._post_part(receiver, part)
            for receiver, part in zip(self._receivers, parts, strict=True)
            if part
        ]
        return [tried for part in greenlets.all_of(works) for tried in part]

    def _post_part(self, receiver: Receiver, part: Sequence[Waiting]) -> list[Tried]:
        found: list[Tried] = []
        for event in part:
            attempt = self._attempt(receiver, event)
            found.append(Tried(event, attempt))
            if attempt.verdict in {AWAY, GONE}:
                break  # what follows would most likely fail as well; it is taken again
        return found

    def _attempt(self, receiver: Receiver, event: Waiting) -> Attempt:
        webhook = self._webhook
        try:
            body = payload.body(event, with_body=webhook.body)
            return receiver.post(payload.event_id(webhook.name, event), body)
        except Exception as error:  # or this one event would hold up all others
            logger.exception("An event of webhook %s could not be told", webhook.name)
            return Attempt(REFUSED, f"the hub failed: {type(error).__name__}")

    def _note(self, tried: Sequence[Tried]) -> None:
        """What the next exchange keeps of a round."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        delivered = [one for one in tried if one.attempt.verdict == DELIVERED]
        failed = [one for one in tried if one.attempt.verdict != DELIVERED]
        away = [one.attempt for one in failed if one.attempt.verdict in {AWAY, GONE}]
        is_answering = len(away) < len(tried)
        failures = 0 if is_answering else self._failures + 1
        self._settled = [Settled(one.event.pk, None) for one in delivered]
        dead = 0
        for one in failed:
            attempts = one.event.attempts + 1
            next_at = schedule.next_attempt(
                attempts, one.event.queued_at, steady, chance=self._chance
            )
            dead += next_at is None
            self._settled.append(Settled(one.event.pk, next_at))
        asked_s = max((one.retry_after_s or 0.0 for one in away), default=0.0) or None
        held_until = 0
        if failures or asked_s:
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
        self._tell(failures, error, dead=dead, is_gone=self._report.disabled_at is not None)

    def _tell(self, failures: int, error: str | None, *, dead: int, is_gone: bool) -> None:
        """Log what changes; the same failure again is not news."""
        name = self._webhook.name
        if is_gone:
            logger.error("The receiver of webhook %s said 410 Gone: it is disabled", name)
        elif failures == 1:
            logger.warning("Webhook %s fails: %s", name, error)
        elif not failures and self._failures:
            logger.info("Webhook %s delivers again", name)
        if dead:
            logger.error("Webhook %s: %d events were given up after three days", name, dead)

    def _hasten(self) -> None:
        """After the receiver was away: let all that waits for it go out now."""
        while self._outgoing.hasten(self._webhook.name):
            greenlets.sleep(0.01)

    def _close(self) -> None:
        for receiver in self._receivers:
            receiver.close()
