from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_bus_client.api import WakeEvent
from agent_bus_client.waker.outcome import Outcome, Status
from agent_bus_client.watcher.episode import REMINDERS, AttemptKind, Episode, Timing

TIMING = Timing()
OK = Outcome(Status.ACCEPTED)
DOWN = Outcome(Status.REFUSED, reason="down")
WRONG = Outcome(Status.REJECTED, reason="gateway answered 401", fix="set the token")


@dataclass
class World:
    """An episode, a clock, and a gateway that answers at once with `outcome`."""

    outcome: Outcome | None = OK
    timing: Timing = TIMING
    now: float = 0.0
    seq: int = 0
    log: list[tuple[float, AttemptKind, Status | None]] = field(default_factory=list)
    notes: list[tuple[float, str]] = field(default_factory=list)
    loud: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.episode = Episode(self.timing)

    def mail(self) -> None:
        self.seq += 1
        self.episode.message(self.now, self.seq)
        self.step()

    def count(self, unfetched: int, unread: int | None = None) -> None:
        self.episode.count(
            self.now,
            unfetched=unfetched,
            unread=unfetched if unread is None else unread,
            max_seq=self.seq if unfetched else 0,
        )
        self.step()

    def step(self) -> None:
        """Do what is due now."""
        note = self.episode.overdue(self.now)
        if note:
            self.notes.append((self.now, note.event))
        attempt = self.episode.due(self.now)
        if attempt:
            status = self.outcome.status if self.outcome else None
            self.log.append((self.now, attempt.kind, status))
            for note in self.episode.finished(self.now, self.outcome):
                self.notes.append((self.now, note.event))
                if note.loud:
                    self.loud.append(note.loud)

    def run(self, until: float) -> None:
        """Let the time pass."""
        while True:
            at = self.episode.next_at()
            if at is None or at > until:
                self.now = until
                return
            self.now = max(self.now, at)
            self.step()


def test_mail_wakes_at_once() -> None:
    world = World()
    world.mail()
    assert world.log == [(0, AttemptKind.WAKE, Status.ACCEPTED)]


def test_a_fetch_ends_the_episode_and_nothing_follows() -> None:
    world = World()
    world.mail()
    world.now = 3
    world.count(0)
    world.run(10_000)
    assert world.log == [(0, AttemptKind.WAKE, Status.ACCEPTED)]


def test_unfetched_mail_escalates_once_then_rewakes_with_doubling_pauses() -> None:
    world = World()
    world.mail()
    world.run(12 * 3600)
    kinds = [kind for _, kind, _ in world.log]
    times = [at for at, _, _ in world.log]
    assert kinds[:3] == [AttemptKind.WAKE, AttemptKind.ESCALATE, AttemptKind.WAKE]
    assert kinds.count(AttemptKind.ESCALATE) == 1
    assert times[:6] == [0, 12, 72, 72 + 120, 72 + 120 + 240, 72 + 120 + 240 + 480]
    assert {b - a for a, b in zip(times[-4:], times[-3:], strict=False)} == {1800}
    assert [at for at, event in world.notes if event == "overdue"] == [72]


def test_new_mail_within_the_interval_waits_for_its_end() -> None:
    world = World()
    world.mail()
    world.now = 2
    world.count(0)
    world.now = 3
    world.mail()
    world.run(13)
    assert world.log == [
        (0, AttemptKind.WAKE, Status.ACCEPTED),
        (12, AttemptKind.WAKE, Status.ACCEPTED),
    ]


def test_a_burst_costs_one_wake_and_one_escalation_in_its_first_minute() -> None:
    world = World()
    for _ in range(100):
        world.mail()
    world.run(60)
    assert [kind for _, kind, _ in world.log] == [AttemptKind.WAKE, AttemptKind.ESCALATE]


def test_new_mail_cuts_a_long_pause_short() -> None:
    world = World()
    world.mail()
    world.run(3000)
    before = len(world.log)
    world.mail()
    assert len(world.log) == before + 1
    assert world.log[-1][:2] == (3000, AttemptKind.WAKE)


def test_refusals_are_retried_with_growing_pauses() -> None:
    world = World(outcome=DOWN)
    world.mail()
    world.run(110)
    assert [at for at, _, _ in world.log] == [0, 1, 3, 8, 18, 48, 78, 108]
    assert [event for _, event in world.notes] == ["failed", "overdue"]


def test_retry_after_is_obeyed() -> None:
    world = World(outcome=Outcome(Status.REFUSED, reason="gateway answered 429", retry_after_s=60))
    world.mail()
    world.run(130)
    assert [at for at, _, _ in world.log] == [0, 60, 120]


def test_a_wrong_setting_is_loud_once_and_tried_slowly() -> None:
    world = World(outcome=WRONG)
    world.mail()
    world.run(310)
    assert [at for at, _, _ in world.log] == [0, 60, 120, 180, 240, 300]
    assert world.loud == ["set the token"]
    world.count(0)
    world.mail()
    assert world.loud == ["set the token"]
    world.outcome = OK
    world.episode.wake_again(world.now)
    world.step()
    world.count(0)
    world.run(world.now + 20)
    world.outcome = WRONG
    world.mail()
    assert world.loud == ["set the token"] * 2


def test_no_way_to_escalate_leaves_the_plain_rewakes() -> None:
    world = World()
    world.mail()
    world.outcome = None
    world.run(12)
    world.outcome = OK
    world.run(61)
    assert [(at, kind) for at, kind, _ in world.log] == [
        (0, AttemptKind.WAKE),
        (12, AttemptKind.ESCALATE),
        (60, AttemptKind.WAKE),
    ]


def test_a_missing_escalation_hook_does_not_stop_the_plain_rewakes() -> None:
    world = World()
    world.mail()
    world.outcome = Outcome(Status.REJECTED, reason="gateway answered 404", fix="add the mapping")
    world.run(13)
    world.outcome = OK
    world.run(200)
    assert [(at, kind) for at, kind, _ in world.log] == [
        (0, AttemptKind.WAKE),
        (12, AttemptKind.ESCALATE),
        (72, AttemptKind.WAKE),
        (192, AttemptKind.WAKE),
    ]
    assert world.loud == ["add the mapping"]


def test_an_unclear_answer_is_treated_as_if_it_had_been_accepted_for_the_pause() -> None:
    world = World(outcome=Outcome(Status.UNCLEAR, reason="hung up"))
    world.mail()
    world.run(25)
    assert [at for at, _, _ in world.log] == [0, 12, 24]


def test_the_gateways_return_wakes_at_once_but_never_twice_in_the_interval() -> None:
    world = World(outcome=DOWN)
    world.mail()
    world.run(50)
    world.outcome = OK
    world.episode.wake_again(world.now)
    world.step()
    accepted = list(world.log)
    assert accepted[-1:] == [(50, AttemptKind.WAKE, Status.ACCEPTED)]
    world.now = 55
    world.episode.wake_again(world.now)
    world.step()
    assert world.log == accepted


def test_fetched_but_unread_mail_is_reminded_of_five_times() -> None:
    world = World()
    world.mail()
    world.now = 1
    world.count(0, unread=1)
    world.run(100 * 3600)
    reminders = [at for at, kind, _ in world.log if kind is AttemptKind.REMIND]
    assert len(reminders) == REMINDERS
    assert reminders[0] == 901
    pauses = [b - a for a, b in itertools.pairwise(reminders)]
    assert pauses == [1800, 3600, 7200, 14400]


def test_a_reminder_is_reported_as_a_wake_of_its_kind_unless_it_coalesced() -> None:
    for coalesced in (False, True):
        episode = Episode(Timing())
        episode.count(0.0, unfetched=0, unread=1, max_seq=7)
        attempt = episode.due(Timing().reminder_after_s)
        assert attempt is not None
        outcome = Outcome(Status.ACCEPTED, coalesced=coalesced)
        notes = episode.finished(901.0, outcome)
        told = [(note.event, note.up_to_seq, note.reason) for note in notes]
        assert told == ([] if coalesced else [(WakeEvent.ACCEPTED, 7, "reminder")])


def test_read_mail_is_not_reminded_of() -> None:
    world = World()
    world.mail()
    world.count(0, unread=1)
    world.now = 10
    world.count(0, unread=0)
    world.run(100_000)
    assert len(world.log) == 1


def test_one_message_never_read_does_not_nag_again_after_others_were_read() -> None:
    world = World()
    world.mail()
    world.count(0, unread=1)
    world.run(100 * 3600)
    spent = len(world.log)
    world.mail()
    world.count(0, unread=2)
    world.count(0, unread=1)
    world.run(200 * 3600)
    assert len(world.log) == spent + 1  # the wake for the new one, no reminder


def test_a_replayed_delivery_is_not_counted_twice() -> None:
    world = World()
    world.seq = 5
    world.count(1)
    world.episode.message(world.now, 5)
    assert world.episode.unfetched == 1


def test_delay_postpones_the_first_wake_only() -> None:
    world = World()
    world.episode.message(0.0, 1, delay_s=0.5)
    assert world.episode.next_at() == 0.5
    assert world.episode.due(0.4) is None


OPS = st.one_of(
    st.tuples(st.just("mail"), st.integers(1, 3)),
    st.tuples(st.just("fetch"), st.integers(0, 1)),
    st.tuples(st.just("read"), st.none()),
    st.tuples(st.just("hello"), st.none()),
    st.tuples(
        st.just("gateway"),
        st.sampled_from([*Status, None]),
    ),
)
PAUSES = st.sampled_from([0.0, 0.01, 0.5, 3.0, 11.9, 12.0, 13.0, 59.0, 200.0, 1000.0, 5000.0])
TAKES = st.sampled_from([0.0, 0.003, 0.9, 10.0])


@dataclass
class Simulation:
    """An agent, its mailbox and a gateway whose calls take time; time moves by events.

    Without a `status` the gateway has no way to escalate, and accepts all else.
    """

    takes_s: float
    episode: Episode = field(default_factory=lambda: Episode(TIMING))
    now: float = 0.0
    status: Status | None = Status.ACCEPTED
    seq: int = 0
    unfetched: int = 0
    unread: int = 0
    running: tuple[float, float] | None = None
    calls: list[tuple[float, float, AttemptKind, Status | None, int]] = field(default_factory=list)
    kind: tuple[AttemptKind, int] = (AttemptKind.WAKE, 0)

    def advance(self, until: float) -> None:
        while True:
            planned = self.episode.next_at()
            at = self.running[1] if self.running else planned
            if self.running and planned is not None:
                at = min(self.running[1], max(planned, self.now))
            if at is None or at > until:
                break
            self.now = max(self.now, at)
            self.tick()
        self.now = until
        self.tick()

    def tick(self) -> None:
        if self.running and self.now >= self.running[1]:
            kind, up_to = self.kind
            status = self.status
            if status is None and kind is not AttemptKind.ESCALATE:
                status = Status.ACCEPTED
            self.calls.append((*self.running, kind, status, up_to))
            self.running = None
            outcome = None if status is None else Outcome(status, reason=status.value)
            self.episode.finished(self.now, outcome)
        self.episode.overdue(self.now)
        attempt = self.episode.due(self.now)
        if attempt:
            assert self.running is None, "two calls for one agent at once"
            assert self.unfetched or attempt.kind is AttemptKind.REMIND
            assert self.unread
            self.running = (self.now, self.now + self.takes_s)
            self.kind = (attempt.kind, attempt.up_to_seq)

    def do(self, op: str, value: object) -> None:
        if op == "mail":
            for _ in range(int(str(value))):
                self.seq += 1
                self.unfetched += 1
                self.unread += 1
                self.episode.message(self.now, self.seq)
        elif op == "fetch":
            self.unfetched = min(self.unfetched, int(str(value)))
        elif op == "read":
            self.unfetched = self.unread = 0
        elif op == "gateway":
            assert value is None or isinstance(value, Status)
            self.status = value
            return
        max_seq = self.seq if self.unfetched else 0
        self.episode.count(self.now, unfetched=self.unfetched, unread=self.unread, max_seq=max_seq)
        if op == "hello":
            self.episode.wake_again(self.now)
        self.tick()


@settings(max_examples=300)
@given(st.lists(st.tuples(PAUSES, OPS), max_size=40), TAKES)
def test_invariants_hold_for_any_history(
    history: list[tuple[float, tuple[str, object]]], takes_s: float
) -> None:
    world = Simulation(takes_s)
    for pause_s, (op, value) in history:
        world.advance(world.now + pause_s)
        world.do(op, value)

    world.status = Status.ACCEPTED
    healed = world.now
    world.advance(
        healed + 100
    )  # after a rejection the next try comes within 60 s, and a call takes 10 s

    _never_two_accepted_within_the_interval(world)
    if world.unfetched:
        waked_for = max((c[4] for c in world.calls if c[3] is Status.ACCEPTED), default=0)
        assert waked_for >= world.seq, "unfetched mail was never waked for"
        world.advance(healed + 4000)
        later = [c for c in world.calls if c[0] > healed + 100 and c[3] is Status.ACCEPTED]
        assert later, "the watcher gave up on unfetched mail"
        _never_two_accepted_within_the_interval(world)


def _never_two_accepted_within_the_interval(world: Simulation) -> None:
    previous_end: float | None = None
    for start, end, _, status, _ in world.calls:
        if previous_end is not None:
            assert start >= previous_end + TIMING.min_interval_s
        if status in {Status.ACCEPTED, Status.UNCLEAR}:
            previous_end = end


def test_mail_that_waits_behind_a_turn_is_overdue_only_after_it() -> None:
    world = World(outcome=Outcome(Status.ACCEPTED, coalesced=True, busy_s=600.0))
    world.mail()
    usual_s = TIMING.escalate_after_s + TIMING.rewake_after_s
    world.run(599)
    assert "overdue" not in [event for _, event in world.notes]
    world.outcome = OK  # the turn is over: from now on a wake begins one
    world.run(3000)
    overdue_at = next(at for at, event in world.notes if event == "overdue")
    assert 600 + usual_s <= overdue_at
    world.count(0)
    world.outcome = OK
    world.mail()
    before = world.now
    world.run(before + 600)
    later = [at for at, event in world.notes if event == "overdue" and at > before]
    assert later[0] - before <= usual_s + 1
