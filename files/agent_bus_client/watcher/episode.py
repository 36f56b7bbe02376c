"""When one agent is woken: a pure state machine, the time is passed in.

A wake episode starts with an agent's first unfetched delivery and ends when none is left. The
gateway's 200 proves nothing; only a fetch does. Within an episode:

    mail arrives ─ wake at once, then at most one accepted wake per `min_interval_s`
    still unfetched after `escalate_after_s` ─ escalate once, in a way other turns cannot block
        (both are relaxed for a gateway that has shown that it needs neither: gateway_kind)
    still unfetched after `rewake_after_s` ─ overdue; wake again, doubling up to `rewake_max_s`
    refused ─ retry after 1, 2, 5, 10, 30 s or what the gateway asked; rejected ─ after 60 s

A wake that waits behind a turn of its agent covers its mail; until that turn must have ended, the
mail is not overdue. Wakes go on meanwhile, at the same growing pauses: they find out if the turn
and what waits behind it are lost.

After it, the agent is reminded of mail that it has fetched but not read: after `reminder_after_s`,
doubling, five times at most.
"""

from __future__ import annotations

from enum import Enum

from agent_bus_client.api import WakeEvent
from agent_bus_client.record import Record
from agent_bus_client.waker.outcome import Outcome, Status

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Optional


RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
REJECTED_RETRY_S = 60.0  # a setting is wrong: try again now and then, as Ansible may fix it
ESCALATION_TRIES = 3  # after them only plain wakes go on: a mapped hook may be busy for long
REMINDERS = 5  # after them the agent has decided not to read
REMINDER = "reminder"  # the reason of an accepted wake; the hub counts it as one
NEVER = float("-inf")


class Timing(Record):
    """The settings of the same names, in seconds."""

    min_interval_s: float = 12.0
    escalate_after_s: float = 12.0
    rewake_after_s: float = 60.0
    rewake_max_s: float = 1800.0
    reminder_after_s: float = 900.0


class AttemptKind(Enum):
    """What a try to wake is for; the hub's page shows the words."""

    WAKE = "wake"
    ESCALATE = "escalate"
    REMIND = "remind"


class Plan(Record):
    """The next try; `again`: for mail that was woken for before."""

    at: float
    kind: AttemptKind
    again: bool = False


class Failure(Record):
    """How tries of one kind fail; the same failure once more is no news."""

    kind: AttemptKind
    reason: str

    def __str__(self) -> str:
        """Return the words for the hub and the log."""
        return f"{self.kind.value}: {self.reason}"


class Attempt(Record):
    """One try to wake; `up_to_seq` is the newest delivery that it stands for."""

    kind: AttemptKind
    up_to_seq: int
    episode: int
    again: bool = False
    early: bool = False  # on trial: less than `min_interval_s` after the last accepted wake


class Note(Record):
    """Something that the hub should hear of; `loud` also belongs in the log, once."""

    event: WakeEvent
    up_to_seq: int
    reason: str = ""
    duration_ms: Optional[int] = None
    loud: str = ""


class Episode:
    """The wake state of one agent; all times are in seconds of one monotonic clock.

    Attributes:
        spacing_s: `min_interval_s`, or less if the gateway needs no spacing.
        on_trial: wakes are closer only to see what the gateway does; it may put them off.
        patience_s: `escalate_after_s`, or more while the agent's own turn explains the wait.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.spacing_s = timing.min_interval_s
        self.on_trial = False
        self.patience_s = timing.escalate_after_s
        self.unfetched = 0
        self.unread = 0
        self.max_seq = 0
        self._number = 0  # of the episode, so that a late outcome is not taken for one of the next
        self._since: Optional[float] = None
        self._in_flight: Optional[Attempt] = None
        self._accepted_at = NEVER
        self._retry_at = NEVER
        self._failures = 0
        self._failure: Optional[Failure] = None
        self._told: set[Failure] = set()  # those that are in the log already
        self._covered_seq = 0
        self._wake_at: Optional[float] = None
        self._waits_since: Optional[float] = None  # from here the time to the escalation counts
        self._escalated = False
        self._rewake_at: Optional[float] = None
        self._rewake_s = timing.rewake_after_s
        self._overdue = False
        self._busy_until = NEVER  # a turn runs at most so long, behind which a wake waits
        self._remind_at: Optional[float] = None
        self._reminded_at = NEVER
        self._reminders = 0
        self._reminded_unread = 0

    def count(
        self, now: float, *, unfetched: int, unread: int, max_seq: int, delay_s: float = 0.0
    ) -> None:
        """Take the hub's counts of the mailbox; `max_seq` is its newest unfetched delivery."""
        self.max_seq = max(self.max_seq, max_seq)
        before, self.unfetched = self.unfetched, unfetched
        self._count_unread(now, unread)
        if unfetched == 0:
            if before:
                self._end(now)
        elif max_seq > self._covered_seq or before == 0:
            self._mail(now, delay_s)

    def message(self, now: float, seq: int, *, delay_s: float = 0.0) -> None:
        """Take a pushed delivery that the counts do not include yet."""
        if seq > self.max_seq:
            self.max_seq = seq
            self.unfetched += 1
            self.unread += 1
            self._mail(now, delay_s)

    def wake_again(self, now: float, *, delay_s: float = 0.0) -> None:
        """Wake for unfetched mail, whatever was tried before: stream or gateway is back."""
        if self.unfetched:
            self._retry_at = NEVER
            self._failures = 0
            self._wake_at = now + delay_s

    def forget(self) -> None:
        """Forget sequence numbers: the hub's start anew, after a restore."""
        self.max_seq = self._covered_seq = 0

    def next_at(self) -> float | None:
        """Return when to call `due`; None while nothing is planned."""
        planned = self._plan()
        times = [planned.at] if planned else []
        if self._since is not None and not self._overdue:
            times.append(self._overdue_at(self._since))
        return min(times) if times else None

    def due(self, now: float) -> Attempt | None:
        """Return the attempt to make now; it counts as running until `finished`."""
        planned = self._plan()
        if planned is None or planned.at > now:
            return None
        if planned.kind is AttemptKind.REMIND and not self._reminder_is_due(now):
            return None
        early = self.on_trial and now < self._accepted_at + self._timing.min_interval_s
        self._in_flight = Attempt(planned.kind, self.max_seq, self._number, planned.again, early)
        return self._in_flight

    def overdue(self, now: float) -> Note | None:
        """Return the note that the episode lasts too long, once per episode."""
        if self._since is None or self._overdue or now < self._overdue_at(self._since):
            return None
        self._overdue = True
        why = "" if self._failure is None else str(self._failure)
        return Note(WakeEvent.OVERDUE, self.max_seq, reason=why)

    def finished(self, now: float, outcome: Outcome | None) -> list[Note]:
        """Take the outcome of the running attempt; None: the agent has no way to escalate."""
        attempt, self._in_flight = self._in_flight, None
        assert attempt is not None, "finished without due"
        current = attempt.episode == self._number and self._since is not None
        if outcome is None:
            self._escalated, self._waits_since = True, None
            return []
        usual = self._accepted_at + self._timing.min_interval_s
        in_time = max(now, usual) if attempt.early else now
        if outcome.status in {Status.ACCEPTED, Status.UNCLEAR}:
            self._accepted_at = now
        if outcome.busy_s and current:
            self._busy_until = now + outcome.busy_s
        if outcome.is_accepted:
            waits = attempt.kind is AttemptKind.WAKE and current and not self._escalated
            if waits and self._waits_since is None:
                self._waits_since = (
                    in_time  # an early wake gets as much time as one at the usual pace
                )
            return self._accepted(now, attempt, outcome, current=current)
        return self._failed(now, attempt, outcome, current=current)

    def _mail(self, now: float, delay_s: float) -> None:
        if self._since is None:
            self._since = now
            self._number += 1
            self._remind_at = None
        if self._wake_at is None:
            self._wake_at = now + delay_s

    def _end(self, now: float) -> None:
        self._since = None
        self._wake_at = self._waits_since = self._rewake_at = None
        self._escalated = self._overdue = False
        self._busy_until = NEVER
        self._rewake_s = self._timing.rewake_after_s
        self._failures, self._failure, self._retry_at = 0, None, NEVER
        self._remind_at = now + self._timing.reminder_after_s if self.unread else None

    def _overdue_at(self, since: float) -> float:
        waits_since = max(since, self._busy_until)
        return waits_since + self._timing.escalate_after_s + self._timing.rewake_after_s

    def _plan(self) -> Plan | None:
        """Return what to try next, however far ahead; at equal times an escalation goes first."""
        if self._in_flight is not None:
            return None
        options = []
        if self._since is not None:
            if self._wake_at is not None:
                options.append(Plan(self._wake_at, AttemptKind.WAKE))
            if self._rewake_at is not None:
                options.append(Plan(self._rewake_at, AttemptKind.WAKE, again=True))
            if self._waits_since is not None:
                options.append(Plan(self._waits_since + self.patience_s, AttemptKind.ESCALATE))
        elif self._remind_at is not None:
            options.append(Plan(self._remind_at, AttemptKind.REMIND))
        floor = max(self._accepted_at + self.spacing_s, self._retry_at)
        return min(
            (plan.replaced(at=max(plan.at, floor)) for plan in options),
            key=lambda plan: (plan.at, plan.kind is not AttemptKind.ESCALATE, plan.again),
            default=None,
        )

    def _accepted(
        self, now: float, attempt: Attempt, outcome: Outcome, *, current: bool
    ) -> list[Note]:
        self._failures, self._failure, self._retry_at = 0, None, NEVER
        self._told = {told for told in self._told if told.kind is not attempt.kind}
        if attempt.kind is AttemptKind.REMIND:
            self._reminders += 1
            self._reminded_at = now
            if self._remind_at is not None:
                self._remind_at = now + self._reminder_s()
            if outcome.coalesced:
                return []
            return [Note(WakeEvent.ACCEPTED, attempt.up_to_seq, REMINDER, outcome.duration_ms)]
        self._covered_seq = max(self._covered_seq, attempt.up_to_seq)
        if current:
            if self.max_seq <= self._covered_seq:
                self._wake_at = None
            if attempt.kind is AttemptKind.ESCALATE:
                self._escalated, self._waits_since = True, None
            if attempt.again:
                self._rewake_s = min(2 * self._rewake_s, self._timing.rewake_max_s)
            self._rewake_at = now + self._rewake_s
        event = WakeEvent.COALESCED if outcome.coalesced else WakeEvent.ACCEPTED
        event = WakeEvent.ESCALATED if attempt.kind is AttemptKind.ESCALATE else event
        return [Note(event, attempt.up_to_seq, duration_ms=outcome.duration_ms)]

    def _failed(
        self, now: float, attempt: Attempt, outcome: Outcome, *, current: bool
    ) -> list[Note]:
        self._failures += 1
        delay_s = RETRY_S[min(self._failures, len(RETRY_S)) - 1]
        if outcome.status is Status.REJECTED:
            delay_s = REJECTED_RETRY_S
        self._retry_at = now + max(delay_s, outcome.retry_after_s or 0.0)
        if attempt.kind is AttemptKind.ESCALATE and current:
            given_up = self._failures >= ESCALATION_TRIES or outcome.status is Status.REJECTED
            if given_up:
                self._escalated, self._waits_since = True, None
                self._failures, self._retry_at = 0, NEVER
                self._rewake_at = now + self._rewake_s
        failure = Failure(attempt.kind, outcome.reason)
        if failure == self._failure:
            return []
        self._failure = failure
        is_loud = outcome.status is Status.REJECTED and failure not in self._told
        self._told.add(failure)
        return [
            Note(
                WakeEvent.FAILED,
                attempt.up_to_seq,
                str(failure),
                outcome.duration_ms,
                loud=outcome.fix if is_loud else "",
            )
        ]

    def _count_unread(self, now: float, unread: int) -> None:
        self.unread = unread
        self._reminded_unread = min(self._reminded_unread, unread)
        if unread == 0:
            self._remind_at = None
            self._reminders = 0
        elif self._since is None and self._remind_at is None and self._reminders < REMINDERS:
            self._remind_at = now + self._timing.reminder_after_s

    def _reminder_s(self) -> float:
        return float(self._timing.reminder_after_s * (1 << min(self._reminders, REMINDERS)))

    def _reminder_is_due(self, now: float) -> bool:
        """Decide once the time has come; mail without a reminder starts the count anew."""
        if self.unread > self._reminded_unread:
            self._reminders = 0
            self._reminded_at = NEVER
        if self._reminders >= REMINDERS:
            self._remind_at = None
            return False
        if self._reminders and now < self._reminded_at + self._reminder_s():
            self._remind_at = self._reminded_at + self._reminder_s()
            return False
        self._reminded_unread = self.unread
        return True
