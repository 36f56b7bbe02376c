"""What a node learns about its gateway, with simulated gateways of both kinds."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_bus_client.api import GatewayKind
from agent_bus_client.waker.outcome import Outcome, Status
from agent_bus_client.watcher.episode import AttemptKind, Timing
from agent_bus_client.watcher.gateway_kind import NEEDED, GatewayObserver
from agent_bus_client.watcher.node import Node

AGENTS = ("alpha", "beta", "gamma")
TIMING = Timing()


@dataclass
class Mailbox:
    unfetched: int = 0
    hand: int = 0


@dataclass
class Turns:
    """The turns of one agent in a simulated gateway."""

    pending: bool = False
    running: bool = False
    starts: list[float] = field(default_factory=list)


class World:
    """A node, its mailboxes and a gateway of one kind; time moves by events.

    A turn fetches soon after its start, looks once more before its end, acks what it has in hand
    at its end, and never fetches after that: the one thing that the learning takes for granted.
    """

    def __init__(self, kind: str, *, agents: tuple[str, ...] = AGENTS) -> None:
        self.kind = kind
        self.now = 0.0
        self.node = Node(agents, TIMING, stagger_s=0.0)
        self.boxes = {name: Mailbox() for name in agents}
        self.turns = {name: Turns() for name in agents}
        self.isolated: set[str] = set()
        self.turn_s = dict.fromkeys(agents, 2.0)
        self.calls: list[tuple[float, str, AttemptKind]] = []
        self.kinds: list[tuple[float, str]] = []
        self.seq = 0
        self._order = itertools.count()
        self._events: list[tuple[float, int, Any]] = []
        self.node.hello(0.0, {"epoch": "e", "head": 0, "agents": list(agents), "mailboxes": []})

    def at(self, when: float, call: Any, *arguments: Any) -> None:
        heapq.heappush(self._events, (when, next(self._order), lambda: call(*arguments)))

    def run(self, until: float) -> None:
        while True:
            planned = self.node.next_at()
            event = self._events[0][0] if self._events else None
            times = [at for at in (planned, event) if at is not None]
            if not times or min(times) > until:
                self.now = until
                return
            self.now = max(self.now, min(times))
            if event is not None and event <= self.now:
                heapq.heappop(self._events)[2]()
            self._wake()

    def mail(self, name: str) -> None:
        self.seq += 1
        self.boxes[name].unfetched += 1
        facts = {"to_agent": name, "seq": self.seq, "id": f"M{self.seq}", "read_at": None}
        self.node.message(self.now, facts)
        self._tell(name)

    def user_turn(self, name: str, length_s: float) -> None:
        """A user writes to an agent: this turn has no wake, and does not fetch."""
        turns = self.turns[name]
        if not turns.running:
            turns.running = True
            self.at(self.now + length_s, self._end, name, False)

    def _wake(self) -> None:
        for name, attempt in self.node.due(self.now):
            self.calls.append((self.now, name, attempt.kind))
            if attempt.kind is AttemptKind.ESCALATE:
                self.isolated.add(name)
                self.at(self.now + 1.5, self._fetch, name)
                self.at(self.now + 3.0, self._end_isolated, name)
                self.node.finished(self.now, name, Outcome(Status.ACCEPTED))
                continue
            coalesced, self.turns[name].pending = self.turns[name].pending, True
            self.at(self.now + 0.3, self._look_for_work)
            outcome = Outcome(Status.ACCEPTED, coalesced=coalesced, main_turn=True)
            self.node.finished(self.now, name, outcome)
        if not self.kinds or self.kinds[-1][1] != self.node.gateway.kind:
            self.kinds.append((self.now, self.node.gateway.kind))

    def _look_for_work(self) -> None:
        """Start the turns that this kind of gateway would start."""
        idle = not self.isolated and not any(t.running for t in self.turns.values())
        started = 0
        for name, turns in self.turns.items():
            if (
                not turns.pending
                or turns.running
                or (self.kind == GatewayKind.HEARTBEAT and not idle)
            ):
                continue
            recent = [at for at in turns.starts if at > self.now - 60]
            if self.kind == GatewayKind.HEARTBEAT and len(recent) >= 5:
                self.at(recent[-5] + 60.01, self._look_for_work)
                continue
            if self.kind == GatewayKind.HEARTBEAT and started == 4:
                break
            started += 1
            turns.pending, turns.running = False, True
            turns.starts.append(self.now)
            length_s = self.turn_s[name]
            self.at(self.now + min(0.5, length_s / 3), self._fetch, name)
            self.at(self.now + length_s * 0.9, self._fetch, name)
            self.at(self.now + length_s, self._end, name, True)

    def _fetch(self, name: str) -> None:
        box = self.boxes[name]
        if box.unfetched:
            box.hand += box.unfetched
            box.unfetched = 0
            self._tell(name)

    def _ack(self, name: str) -> None:
        if self.boxes[name].hand:
            self.boxes[name].hand = 0
            self._tell(name)

    def _end(self, name: str, acks: bool) -> None:  # noqa: FBT001 - of the event
        if acks:
            self._ack(name)
        self.turns[name].running = False
        self.at(self.now + 0.3, self._look_for_work)

    def _end_isolated(self, name: str) -> None:
        self._ack(name)
        self.isolated.discard(name)
        self._look_for_work()

    def _tell(self, name: str) -> None:
        box = self.boxes[name]
        self.node.mailbox(
            self.now,
            {
                "agent": name,
                "unfetched": box.unfetched,
                "unread": box.unfetched + box.hand,
                "max_unfetched_seq": self.seq if box.unfetched else None,
            },
        )

    def waits(self) -> list[float]:
        """Return the time between each wake of an agent and the one before."""
        by_agent: dict[str, list[float]] = {}
        for at, name, _ in self.calls:
            by_agent.setdefault(name, []).append(at)
        return [b - a for times in by_agent.values() for a, b in itertools.pairwise(times)]


def lively(world: World, *, seconds: int, every_s: float = 3.0) -> None:
    """Send mail to alpha again and again."""
    for number in range(int(seconds / every_s)):
        world.at(world.now + number * every_s, world.mail, "alpha")
    world.run(world.now + seconds)


def test_a_follow_up_gateway_is_known_after_a_lively_minute_and_wakes_come_closer() -> None:
    world = World(GatewayKind.FOLLOW_UP)
    world.turn_s["alpha"] = 1.0
    lively(world, seconds=90)
    assert [kind for _, kind in world.kinds] == [GatewayKind.UNKNOWN, GatewayKind.FOLLOW_UP]
    assert 48 <= world.kinds[-1][0] < 60  # five turns at the old pace, then three that come early
    assert min(world.waits()) == 3
    assert AttemptKind.ESCALATE not in [kind for _, _, kind in world.calls]


def test_a_heartbeat_gateway_is_never_taken_for_another_and_loses_nothing_by_the_try() -> None:
    world = World(GatewayKind.HEARTBEAT)
    world.turn_s["alpha"] = 1.0
    lively(world, seconds=600)
    assert GatewayKind.FOLLOW_UP not in [kind for _, kind in world.kinds]
    assert AttemptKind.ESCALATE not in [kind for _, _, kind in world.calls]
    assert sum(wait < 12 for wait in world.waits()) == 1  # tried once, then not for ten minutes


def test_a_turn_beside_a_busy_one_is_seen() -> None:
    world = World(GatewayKind.FOLLOW_UP)
    world.turn_s["beta"] = 30.0
    for round_s in (0, 100, 200):
        world.at(round_s, world.mail, "beta")
        world.at(round_s + 10, world.mail, "alpha")
    world.run(300)
    assert world.kinds[-1][1] == GatewayKind.FOLLOW_UP
    world = World(GatewayKind.HEARTBEAT)
    world.turn_s["beta"] = 30.0
    for round_s in (0, 100, 200):
        world.at(round_s, world.mail, "beta")
        world.at(round_s + 10, world.mail, "alpha")
    world.run(300)
    assert world.kinds[-1][1] == GatewayKind.HEARTBEAT
    assert AttemptKind.ESCALATE in [kind for _, _, kind in world.calls]


def test_a_wake_that_waits_for_its_own_agent_s_turn_is_escalated_late_and_blames_nobody() -> None:
    world = World(GatewayKind.FOLLOW_UP)
    world.turn_s["alpha"] = 1.0
    lively(world, seconds=90)
    world.turn_s["alpha"] = 40.0
    world.mail("alpha")
    world.run(world.now + 10)
    calls = len(world.calls)
    world.mail("alpha")
    world.run(world.now + 60)
    assert AttemptKind.ESCALATE not in [kind for _, _, kind in world.calls[calls:]]
    assert world.kinds[-1][1] == GatewayKind.FOLLOW_UP
    assert world.boxes["alpha"].unfetched == 0


def test_a_gateway_that_holds_back_again_is_treated_as_before_at_once() -> None:
    world = World(GatewayKind.FOLLOW_UP)
    world.turn_s["alpha"] = 1.0
    lively(world, seconds=90)
    world.kind = GatewayKind.HEARTBEAT
    world.user_turn("beta", 120)
    world.mail("alpha")
    calls = len(world.calls)
    began = world.now
    world.run(world.now + 14)
    assert [(at - began, kind) for at, _, kind in world.calls[calls:]][-1] == (
        12,
        AttemptKind.ESCALATE,
    )
    assert world.kinds[-1][1] == GatewayKind.HEARTBEAT


def test_a_gateway_that_was_away_is_unknown_again() -> None:
    world = World(GatewayKind.FOLLOW_UP)
    world.turn_s["alpha"] = 1.0
    lively(world, seconds=90)
    world.node.gateway_returned(world.now)
    assert world.node.gateway.kind == GatewayKind.UNKNOWN
    waits = len(world.calls)
    lively(world, seconds=30)
    assert world.calls[waits + 1][0] - world.calls[waits][0] >= 12


def seen(evidence: int) -> GatewayObserver:
    observer = GatewayObserver()
    observer.hands(0, "alpha", 0, looked=False)
    for number in range(evidence + 5):
        observer.woken(number, "alpha", early=False)
        observer.hands(number + 0.5, "alpha", 1, looked=True)
        observer.hands(number + 0.6, "alpha", 0, looked=False)
    return observer


@pytest.mark.parametrize("evidence", range(NEEDED + 1))
def test_so_much_evidence_is_needed(evidence: int) -> None:
    assert seen(evidence).relaxed == (evidence >= NEEDED)


def test_a_late_turn_takes_all_evidence_away() -> None:
    observer = seen(NEEDED - 1)
    observer.late(8, "beta")
    observer.woken(9, "alpha", early=False)
    observer.hands(9.5, "alpha", 1, looked=True)
    assert observer.kind == GatewayKind.HEARTBEAT


def test_mail_in_hand_before_a_wake_proves_nothing() -> None:
    """A long turn that fetches again and again is one turn."""
    observer = GatewayObserver()
    observer.hands(0, "alpha", 0, looked=False)
    for number in range(20):
        observer.woken(number, "alpha", early=False)
        observer.hands(number + 0.5, "alpha", number + 1, looked=True)
    assert observer.kind == GatewayKind.UNKNOWN


def test_a_command_s_agent_is_no_neighbour() -> None:
    observer = GatewayObserver()
    for name in AGENTS:
        observer.hands(0, name, 0, looked=False)
    for round_s in range(0, 400, 100):
        observer.hands(round_s, "beta", 1, looked=True)  # woken by a command, never by the gateway
        observer.woken(round_s + 10, "alpha", early=False)
        observer.hands(round_s + 11, "alpha", 1, looked=True)
        observer.hands(round_s + 12, "alpha", 0, looked=False)
        observer.hands(round_s + 30, "beta", 0, looked=False)
    assert observer.kind == GatewayKind.UNKNOWN


def played(kind: str, seed: int, *, hours: float = 0.5) -> World:
    """Simulate traffic of every kind from one seed."""
    chance = random.Random(seed)
    world = World(kind)
    until = hours * 3600
    for name in AGENTS:
        world.turn_s[name] = chance.choice([0.6, 2.0, 8.0, 25.0, 70.0])
        pause_s = chance.choice([2.0, 7.0, 20.0, 90.0])
        at = chance.uniform(0, pause_s)
        while at < until:
            world.at(at, world.mail, name)
            at += chance.expovariate(1 / pause_s)
    for _ in range(chance.choice([0, 10])):
        length_s = chance.choice([5, 40, 200])
        world.at(chance.uniform(0, until), world.user_turn, chance.choice(AGENTS), length_s)
    world.run(until + 300)
    return world


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 30))
@example(78770)  # a turn that found no mail at first, and later fetched what another wake was for
def test_no_traffic_makes_a_heartbeat_gateway_look_like_another(seed: int) -> None:
    world = played(GatewayKind.HEARTBEAT, seed)
    assert GatewayKind.FOLLOW_UP not in [kind for _, kind in world.kinds]
    early = [wait for wait in world.waits() if wait < TIMING.min_interval_s - 1e-6]
    assert len(early) <= 4 * len(AGENTS)  # tries, ten minutes apart in 35
    assert all(box.unfetched == 0 for box in world.boxes.values())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 30))
def test_wakes_come_close_only_while_the_gateway_has_shown_that_it_takes_them(seed: int) -> None:
    world = played(GatewayKind.FOLLOW_UP, seed)
    assert all(wait >= TIMING.min_interval_s / 4 - 1e-6 for wait in world.waits())
    assert all(box.unfetched == 0 for box in world.boxes.values())
