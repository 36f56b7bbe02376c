"""When the storm guard damps, holds and lets go."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.support.dice  # noqa: F401 - sets property tests up
from agent_bus.core.guards.storms import signals, withheld
from agent_bus.core.guards.storms.echoes import AGAIN_S
from agent_bus.core.guards.storms.ladder import (
    CALM,
    DAMPED,
    HELD,
    NOTHING,
    RELEASED,
    Storm,
    StormGuard,
)
from agent_bus.core.guards.storms.signals import ECHO_S, EVERYBODY, Said, StormLimits, pair_key
from agent_bus.core.model import BUS, OPERATOR, AgentName, MailboxCounts, MessageId, Seq

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.guards.storms.ladder import Verdict

A, B, C, D, E = (AgentName(name) for name in "abcde")
FLEET = tuple(AgentName(f"f{number}") for number in range(8))
LIMITS = StormLimits(window_s=100, turns=12, repeats=4, echoes=3, spacing_s=10, more=3, quiet_s=50)


class Bus:
    """A guard, and a clock that moves a second per message."""

    def __init__(self, limits: StormLimits = LIMITS) -> None:
        self.guard = StormGuard(limits)
        self.now = 0.0
        self.seqs = itertools.count(1)
        self.steps: list[tuple[str, str]] = []

    def say(
        self,
        sender: AgentName,
        *to: AgentName,
        thread: str | None = None,
        depth: int = 0,
        body: str | None = None,
        after_s: float = 1.0,
    ) -> Verdict:
        """Send a message; without a body, one as no other."""
        self.now += after_s
        seq = next(self.seqs)
        for _ in to[1:]:
            next(self.seqs)
        text = f"w{seq} x{seq} y{seq} z{seq}" if body is None else body
        said = Said(sender, to, Seq(seq), MessageId(thread or f"T{seq}"), depth, text)
        found = self.guard.take(said, self.now, at=lambda: int(self.now), newest=lambda _: Seq(0))
        self.steps += [(turn.step, turn.storm.key) for turn in found.turns]
        return found

    def tick(self, after_s: float) -> Verdict:
        """Let time pass."""
        self.now += after_s
        found = self.guard.tick(self.now)
        self.steps += [(turn.step, turn.storm.key) for turn in found.turns]
        return found


def ping_pong(bus: Bus, count: int, *, same: str | None = None, thread: str | None = None) -> None:
    for number in range(count):
        sender, to = (A, B) if number % 2 == 0 else (B, A)
        bus.say(sender, to, body=same, thread=thread, depth=number if thread else 0)


def test_two_that_answer_each_other_are_damped_at_the_limit_and_not_before() -> None:
    bus = Bus()
    ping_pong(bus, LIMITS.turns)
    assert bus.steps == []
    bus.say(A, B)
    assert bus.steps == [(DAMPED, "a,b")]


def test_one_that_writes_a_lot_to_another_is_no_storm() -> None:
    bus = Bus()
    for _ in range(500):
        assert bus.say(A, B) is NOTHING


def test_answers_that_come_slowly_are_no_storm() -> None:
    bus = Bus()
    gap_s = LIMITS.window_s / (LIMITS.turns - 1) + 0.1
    for number in range(200):
        bus.say(*((A, B) if number % 2 else (B, A)), after_s=gap_s)
    assert bus.steps == []


def test_a_damped_storm_wakes_once_per_spacing() -> None:
    bus = Bus()
    ping_pong(bus, LIMITS.turns + 1)  # the last one passes, and takes the first place
    assert bus.say(B, A).withheld == {A: "a,b"}
    assert bus.tick(5).let_go == {}
    assert bus.tick(5).let_go == {A: [Seq(LIMITS.turns + 2)]}
    assert bus.say(A, B, after_s=LIMITS.spacing_s).withheld == {}


def test_a_damped_storm_that_goes_on_is_held_until_the_operator_speaks() -> None:
    bus = Bus()
    ping_pong(bus, LIMITS.turns + LIMITS.more + 1)
    assert bus.steps == [(DAMPED, "a,b"), (HELD, "a,b")]
    assert bus.say(A, B, after_s=10_000).withheld == {B: "a,b"}
    assert bus.tick(10_000).let_go == {}
    found = bus.guard.release("a,b")
    assert [turn.step for turn in found.turns] == [RELEASED]
    assert sum(map(len, found.let_go.values())) == LIMITS.more + 1
    assert bus.say(A, B) is NOTHING


def test_a_release_begins_the_counting_anew() -> None:
    bus = Bus()
    ping_pong(bus, LIMITS.turns + LIMITS.more + 1)
    bus.guard.release("a,b")
    bus.steps.clear()
    ping_pong(bus, LIMITS.turns)
    assert bus.steps == []
    bus.say(A, B)
    assert bus.steps == [(DAMPED, "a,b")]


def test_a_damped_storm_that_goes_quiet_is_over() -> None:
    bus = Bus()
    ping_pong(bus, LIMITS.turns + 2)
    assert bus.tick(LIMITS.quiet_s).turns == []
    found = bus.tick(1)
    assert [turn.step for turn in found.turns] == [CALM]
    assert not bus.guard.storms
    assert not bus.guard.withheld


@pytest.mark.parametrize(
    ("to", "thread"), [((A, B), None), ((B,), "T13"), ((A, B, C), None)], ids=str
)
def test_a_word_of_the_operator_lets_a_pair_go_on(
    to: Sequence[AgentName], thread: str | None
) -> None:
    bus = Bus()
    ping_pong(bus, LIMITS.turns + 1)
    bus.say(OPERATOR, *to, thread=thread)
    assert bus.steps == [(DAMPED, "a,b"), (RELEASED, "a,b")]


def test_a_word_to_others_lets_nothing_go_on() -> None:
    bus = Bus()
    ping_pong(bus, LIMITS.turns + 1)
    bus.say(OPERATOR, A)
    bus.say(OPERATOR, A, B, *FLEET)
    assert list(bus.guard.storms) == ["a,b"]


def test_a_word_of_the_operator_begins_the_counting_anew_before_a_storm() -> None:
    bus = Bus()
    ping_pong(bus, LIMITS.turns)
    bus.say(OPERATOR, B, thread=f"T{LIMITS.turns}")
    ping_pong(bus, LIMITS.turns)
    assert bus.steps == []


def test_a_thread_that_repeats_itself_is_damped() -> None:
    bus = Bus()
    ping_pong(bus, 4 + LIMITS.repeats, same="Thank you very much!", thread="T")
    assert bus.steps == []
    ping_pong(bus, 1, same="Thank you very much!", thread="T")
    bus = Bus()
    ping_pong(bus, 5 + LIMITS.repeats, same="Thank you very much!", thread="T")
    assert bus.steps == [(DAMPED, "T")]


def test_a_pair_that_repeats_itself_in_new_threads_is_damped() -> None:
    bus = Bus()
    ping_pong(bus, 5 + LIMITS.repeats, same="I have noted your message, thank you very much!")
    assert bus.steps == [(DAMPED, "a,b")]


def test_many_that_answer_one_message_alike_do_not_repeat_each_other() -> None:
    bus = Bus()
    for agent in FLEET * 3:
        bus.say(agent, A, thread="T", depth=1, body="All is well here, nothing to report today.")
    assert bus.steps == []


def test_a_storm_whose_bodies_only_another_hub_knows_is_seen_by_the_turns() -> None:
    bus = Bus()
    for number in range(LIMITS.turns + 1):
        sender, to = (A, B) if number % 2 == 0 else (B, A)
        said = Said(sender, (to,), Seq(number + 1), MessageId("T"), number, None)
        bus.guard.take(said, float(number), at=lambda: 0, newest=lambda _: Seq(0))
    assert list(bus.guard.storms) == ["a,b"]


def test_a_chain_of_which_half_is_known_is_still_seen() -> None:
    bus = Bus(StormLimits(window_s=100, turns=1000, repeats=4))
    for number in range(40):
        sender, to = (A, B) if number % 2 == 0 else (B, A)
        body = "Thank you very much!" if number % 2 else None
        said = Said(sender, (to,), Seq(number + 1), MessageId("T"), number, body)
        bus.guard.take(said, float(number), at=lambda: 0, newest=lambda _: Seq(0))
    assert list(bus.guard.storms) == ["T"]


def test_a_ring_is_seen_though_no_pair_of_it_answers_each_other() -> None:
    bus = Bus(StormLimits(window_s=1000, turns=20, more=3))
    ring = (A, B, C, D, E)
    for number in range(20):
        bus.say(ring[number % 5], ring[(number + 1) % 5])
        assert (bus.steps == []) == (number < 19)
    assert bus.steps == [(DAMPED, "a>b>c>d>e")]
    for number in range(4):
        bus.say(ring[number % 5], ring[(number + 1) % 5])
    assert bus.steps[-1] == (HELD, "a>b>c>d>e")
    assert bus.say(E, A).withheld == {A: "a>b>c>d>e"}
    assert bus.say(A, C).withheld == {}
    bus.guard.release("a>b>c>d>e")
    assert bus.say(E, A) is NOTHING


def test_a_team_in_which_everybody_answers_is_no_ring() -> None:
    bus = Bus(StormLimits(window_s=1000, turns=40))
    for number in range(30):
        one, other = (A, B, C)[number % 3], (A, B, C)[(number + 1) % 3]
        bus.say(one, other)
        bus.say(other, one)
    assert bus.steps == []


def test_a_broadcast_that_is_answered_by_broadcasts_again_and_again_is_damped() -> None:
    bus = Bus()
    bus.say(A, *FLEET, thread="T")
    for depth in range(1, 3 + LIMITS.echoes):
        assert bus.steps == []
        bus.say((B, C)[depth % 2], A, *FLEET, thread="T", depth=depth)
    assert bus.steps == [(DAMPED, "T")]


def broadcasts(bus: Bus, count: int) -> Verdict:
    """Alpha and beta answer each other, always to all, in threads of their own."""
    for number in range(count):
        found = bus.say((A, B)[number % 2], *FLEET)
    return found


TO_DAMPED = 2 + LIMITS.echoes
TO_HELD = TO_DAMPED + LIMITS.more


def test_broadcasts_in_threads_of_their_own_are_echoes_if_their_senders_are_soon_back() -> None:
    bus = Bus()
    broadcasts(bus, TO_DAMPED - 1)
    assert bus.steps == []
    broadcasts(bus, 1)
    assert bus.steps == [(DAMPED, EVERYBODY)]
    assert bus.guard.storms[EVERYBODY].agents == (A, B)
    assert bus.say(A, B) is NOTHING or not bus.say(A, B).withheld
    bus.say(OPERATOR, *FLEET)
    assert bus.steps[-1] == (RELEASED, EVERYBODY)


@pytest.mark.parametrize("count", [13, 24, 100])
@pytest.mark.parametrize("is_thread", [True, False])
def test_a_round_of_one_or_two_broadcasts_of_each_agent_is_no_storm(
    count: int, *, is_thread: bool
) -> None:
    bus = Bus(StormLimits())
    agents = [AgentName(f"s{number}") for number in range(count)]
    bus.say(A, *agents, thread="T")
    for agent in agents * 2:
        more = {"thread": "T", "depth": 1} if is_thread else {}
        bus.say(agent, *FLEET, after_s=3, **more)  # type: ignore[arg-type]
    assert bus.steps == []


def test_who_is_in_no_storm_of_broadcasts_still_reaches_everybody() -> None:
    bus = Bus()
    found = broadcasts(bus, TO_HELD + 1)
    assert bus.steps[-1] == (HELD, EVERYBODY)
    assert found.withheld == dict.fromkeys(FLEET, EVERYBODY)
    assert bus.say(C, *FLEET).withheld == {}
    assert bus.say(A, *FLEET, after_s=ECHO_S + 1).withheld == {}, "it answers nobody"


def test_who_is_back_only_after_a_while_joins_no_storm_and_leaves_none() -> None:
    bus = Bus(replace(LIMITS, quiet_s=10_000))
    bus.say(C, *FLEET)
    broadcasts(bus, TO_HELD + 1)
    bus.say(A, *FLEET, after_s=AGAIN_S)
    assert bus.say(C, *FLEET).withheld == {}
    assert bus.say(B, *FLEET).withheld.keys() == set(FLEET)
    assert bus.say(C, *FLEET).withheld.keys() == set(FLEET)
    assert bus.guard.storms[EVERYBODY].agents == (A, B, C)


def test_held_broadcasts_that_go_quiet_are_damped_and_then_calm() -> None:
    bus = Bus()
    broadcasts(bus, TO_HELD + 1)
    assert bus.tick(LIMITS.quiet_s).turns == []
    found = bus.tick(1)
    assert found.let_go.keys() == set(FLEET)
    assert not bus.guard.withheld
    bus.tick(LIMITS.quiet_s + 1)
    steps = [step for step, _ in bus.steps]
    assert steps == [DAMPED, HELD, DAMPED, CALM]
    assert not bus.guard.storms


def test_broadcasts_that_begin_again_have_to_be_quiet_for_longer() -> None:
    bus = Bus()
    broadcasts(bus, TO_HELD + 1)
    bus.tick(LIMITS.quiet_s + 1)
    broadcasts(bus, LIMITS.more + 3)
    assert bus.steps[-1] == (HELD, EVERYBODY)
    assert bus.tick(2 * LIMITS.quiet_s).turns == []
    assert [turn.step for turn in bus.tick(1).turns] == [DAMPED]


def test_broadcasts_that_were_held_before_a_restart_end_by_themselves_too() -> None:
    bus = Bus()
    told = Storm(EVERYBODY, "echoes", (A, B), "held", 5, 0.0, 0.0)
    bus.guard.hear(told, HELD, 0.0)
    assert [turn.step for turn in bus.tick(LIMITS.quiet_s + 1).turns] == [DAMPED]
    assert bus.guard.storms[EVERYBODY].holds == 1, "its release has to be kept"


def test_broadcasts_that_have_nothing_to_do_with_each_other_are_no_echoes() -> None:
    bus = Bus()
    for agent in FLEET * 3:
        bus.say(agent, A, B, C, D, after_s=signals.ECHO_S + 1)
    for _ in range(20):
        bus.say(A, *FLEET)
    assert bus.steps == []


def test_answers_to_a_broadcast_are_no_echoes() -> None:
    bus = Bus()
    bus.say(A, *FLEET, thread="T")
    for agent in FLEET:
        bus.say(agent, A, thread="T", depth=1)
    assert bus.steps == []


def test_what_the_hub_says_and_what_the_operator_gets_never_counts() -> None:
    bus = Bus()
    for _ in range(100):
        assert bus.say(BUS, A) is NOTHING
        assert bus.say(A, OPERATOR, body="the same") is NOTHING


def test_counters_leave_out_what_is_withheld_and_nothing_else() -> None:
    bus = Bus()
    ping_pong(bus, LIMITS.turns + 1)
    bus.say(B, A)
    held = LIMITS.turns + 2
    box = MailboxCounts(A, 3, 4, Seq(held))
    shown = bus.guard.withheld.without(box)
    assert (shown.unfetched, shown.unread, shown.last_seq) == (2, 3, Seq(0))
    bus.say(C, A)
    shown = bus.guard.withheld.without(MailboxCounts(A, 4, 5, Seq(held + 1)))
    assert (shown.unfetched, shown.last_seq) == (3, Seq(held + 1))
    assert bus.guard.withheld.without(MailboxCounts(B, 1, 1, Seq(9))).unfetched == 1
    assert bus.guard.withheld.without(MailboxCounts(A, 0, 0, Seq(held))).unfetched == 0
    assert not bus.guard.withheld


def test_what_another_hub_has_decided_holds_here_and_ends_here() -> None:
    bus = Bus()
    told = Storm("a,b", "turns", (A, B), "held", 5, 0.0, 0.0)
    assert [turn.step for turn in bus.guard.hear(told, HELD, 1.0).turns] == [HELD]
    assert bus.guard.hear(told, HELD, 1.0) is NOTHING
    assert bus.say(A, B).withheld == {B: "a,b"}
    assert bus.guard.hear(told, CALM, 2.0) is NOTHING
    assert bus.guard.hear(told, RELEASED, 2.0).let_go == {B: [Seq(1)]}
    assert bus.guard.hear(told, RELEASED, 2.0) is NOTHING


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PAIRS", 10)
    monkeypatch.setattr(signals, "THREADS", 10)
    monkeypatch.setattr(withheld, "MOST", 5)
    bus = Bus()
    for number in range(100):
        bus.say(A, AgentName(f"n{number}"), thread=f"X{number}", depth=1)
    assert bus.guard.signals.watched == (10, 10)
    ping_pong(bus, LIMITS.turns + 30)
    assert bus.guard.withheld.count == 5
    assert bus.say(A, B).withheld == {}


AGENTS = st.sampled_from((A, B, C, D, E))
MESSAGES = st.lists(
    st.tuples(AGENTS, st.sets(AGENTS, min_size=1), st.integers(0, 6), st.floats(0, 30)),
    max_size=120,
)


@given(MESSAGES)
def test_nothing_is_lost_whatever_is_said(
    messages: list[tuple[AgentName, set[AgentName], int, float]],
) -> None:
    """Each delivery wakes at once, is let go later, or waits; and only a storm makes it wait."""
    bus = Bus(StormLimits(window_s=200, turns=8, repeats=4, echoes=3, spacing_s=10, more=2))
    waiting: set[tuple[AgentName, int]] = set()
    for sender, to, thread, gap_s in messages:
        others = tuple(sorted(to - {sender}))
        if not others:
            continue
        had_storms = bool(bus.guard.storms)
        seq = next(bus.seqs)
        bus.seqs = itertools.chain([seq], bus.seqs)  # type: ignore[assignment]
        said = bus.say(
            sender, *others, thread=f"T{thread}", depth=thread, body="so", after_s=gap_s
        )
        assert had_storms or said.turns or not said.withheld
        waiting |= {(agent, seq + others.index(agent)) for agent in said.withheld}
        let_go = bus.tick(0).let_go
        waiting -= {(agent, int(one)) for agent, seqs in let_go.items() for one in seqs}
        here = {(a, int(s)) for a in (A, B, C, D, E) for s in bus.guard.withheld.of(a)}
        assert here == waiting
        assert bus.guard.withheld.count == len(waiting)
    for key in list(bus.guard.storms):
        bus.guard.release(key)
    assert not bus.guard.withheld
    assert not bus.guard.storms


@given(st.lists(st.tuples(AGENTS, AGENTS), max_size=LIMITS.turns))
def test_nothing_is_damped_below_the_limits(messages: list[tuple[AgentName, AgentName]]) -> None:
    bus = Bus()
    for sender, to in messages:
        bus.say(sender, to)
    assert bus.steps == []


@given(st.permutations((A, B)))
def test_a_pair_has_one_key(names: list[AgentName]) -> None:
    assert pair_key(names[0], names[1]) == "a,b"
