"""Leases over several hubs: whatever comes in which order, all hubs come to the same picture."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given

import tests.support.dice  # noqa: F401 - sets property tests up
from agent_bus.bus.directory import Directory
from agent_bus.bus.presence import Presence
from agent_bus.core.model import Agent, AgentName, NodeName, Roster
from agent_bus.store import cluster as told
from agent_bus.store.cluster import Alone
from tests.support.clock import FakeClock

NODE, BETA = NodeName("n1"), AgentName("beta")
HUBS = ("one", "two", "three")


class Line(Alone):
    """Where a hub tells, and hears what all told, one by one."""

    is_plural = True  # type: ignore[misc]

    def __init__(self, name: str, log: list[tuple[str, told.Fact]]) -> None:
        self.name = name  # type: ignore[misc]
        self.dead: set[str] = set()
        self._log = log

    def tell(self, fact: told.Fact) -> None:
        self._log.append((self.name, fact))

    def assure(self, *facts: told.Fact) -> None:
        for fact in facts:
            self.tell(fact)

    def lives(self, hub: str) -> bool:
        return hub not in self.dead


class Hub:
    """A hub's presence, with the streams that are open at it."""

    def __init__(self, name: str, log: list[tuple[str, told.Fact]], clock: FakeClock) -> None:
        directory = Directory()
        directory.replace(Roster(agents={BETA: NODE}), [Agent(BETA, NODE)])
        self.name = name
        self.line = Line(name, log)
        self.presence = Presence(
            directory=directory, clock=clock, lease_s=75, offline_after_s=300, cluster=self.line
        )
        self.open: list[str] = []
        self._log = log
        self._heard = 0

    def connect(self, stream: str) -> None:
        for older in self.open:  # the broker of a hub ends its own older streams
            self.presence.closed(NODE, older)
        self.open = [stream]
        self.presence.opened(NODE, stream, (BETA,))

    def hang_up(self) -> None:
        for stream in self.open:
            self.presence.closed(NODE, stream)
        self.open.clear()

    def hear_next(self) -> bool:
        if self._heard == len(self._log):
            return False
        hub, fact = self._log[self._heard]
        self._heard += 1
        match fact:
            case told.LeaseTaken():
                older: Any = self.presence.hear_taken(hub, fact)
                if older in self.open:
                    self.open.remove(older)
                    self.presence.closed(NODE, older)
            case told.LeaseDropped() if hub != self.name:
                self.presence.hear_dropped(hub, fact)
            case told.LeaseReported() if hub != self.name:
                self.presence.hear_report(fact)
            case told.LeaseReported() | told.LeaseDropped():
                self.presence.hear_own(fact)
            case _:
                pass
        return True


def fleet() -> tuple[list[tuple[str, told.Fact]], list[Hub], FakeClock]:
    log: list[tuple[str, told.Fact]] = []
    clock = FakeClock()
    return log, [Hub(name, log, clock) for name in HUBS], clock


def hear_all(hubs: list[Hub]) -> None:
    while sum(hub.hear_next() for hub in hubs):  # each hears one in turn
        pass


STEPS = st.lists(
    st.tuples(st.sampled_from(range(len(HUBS))), st.sampled_from(["connect", "hang up", "hear"])),
    max_size=30,
)


@given(STEPS)
def test_all_hubs_agree_and_one_stream_at_most_stays(steps: list[tuple[int, str]]) -> None:
    _, hubs, _ = fleet()
    for number, (place, step) in enumerate(steps):
        if step == "connect":
            hubs[place].connect(f"stream {number}")
        elif step == "hang up":
            hubs[place].hang_up()
        else:
            hubs[place].hear_next()
    hear_all(hubs)
    staying = [(hub, stream) for hub in hubs for stream in hub.open]
    assert len(staying) <= 1
    holders = [hub.presence.lease(NODE) for hub in hubs]
    if not staying:
        assert holders == [None, None, None]
        return
    for hub, lease in zip(hubs, holders, strict=True):
        assert lease is not None
        assert (lease.hub or hub.name) == staying[0][0].name
        assert (lease.stream == staying[0][1]) == (hub is staying[0][0])


def test_an_agent_is_online_at_every_hub_wherever_its_watcher_is() -> None:
    _, hubs, _ = fleet()
    hubs[0].connect("stream")
    hear_all(hubs)
    assert [hub.presence.status(BETA) for hub in hubs] == ["online"] * 3
    assert [hub.presence.is_elsewhere(NODE) for hub in hubs] == [False, True, True]


def test_the_leases_of_a_dead_hub_are_lost() -> None:
    _, hubs, _ = fleet()
    hubs[0].connect("stream")
    hear_all(hubs)
    hubs[1].line.dead.add("one")
    assert hubs[1].presence.lease(NODE) is None
    assert hubs[2].presence.lease(NODE) is not None


def test_a_report_to_any_hub_counts_at_all_of_them() -> None:
    log, hubs, _ = fleet()
    hubs[0].connect("stream")
    hear_all(hubs)
    report(hubs[2], up=False)
    hear_all(hubs)
    assert [hub.presence.status(BETA) for hub in hubs] == ["gateway-down"] * 3
    before = len(log)
    report(hubs[2], up=False)
    assert len(log) == before, "nothing new is told with the next beat"
    assert hubs[2].presence.take_untold().renewed == (NODE,)


def test_a_renewal_reaches_other_hubs_with_a_beat() -> None:
    _, hubs, clock = fleet()
    hubs[0].connect("stream")
    hear_all(hubs)
    report(hubs[0])
    hear_all(hubs)
    clock.advance(50)
    report(hubs[0])
    beat = hubs[0].presence.take_untold()
    hubs[1].presence.hear_beat(beat)
    clock.advance(50)
    assert [hub.presence.status(BETA) for hub in hubs[:2]] == ["online", "online"]
    assert hubs[2].presence.lease(NODE) is None, "it has not heard the beat"


def test_signs_of_life_are_told_at_most_every_ten_seconds() -> None:
    _, hubs, clock = fleet()
    hubs[0].presence.seen(BETA)
    assert BETA in hubs[0].presence.take_untold().seen
    hubs[0].presence.seen(BETA)
    assert hubs[0].presence.take_untold().seen == {}
    clock.advance(11)
    hubs[0].presence.take_unsaved()  # stored meanwhile, but not told
    beat = hubs[0].presence.take_untold()
    assert BETA in beat.seen
    hubs[1].presence.hear_beat(beat)
    assert hubs[1].presence.status(BETA) == "deaf"
    assert hubs[1].presence.take_untold().seen == {}, "what was heard is not told again"


def test_a_lease_whose_word_was_lost_is_told_again() -> None:
    log, hubs, clock = fleet()
    hubs[0].connect("stream")
    log.clear()  # the database was away
    hubs[0].presence.take_untold()
    assert log == []
    clock.advance(11)
    hubs[0].presence.take_untold()
    hear_all(hubs)
    assert [hub.presence.status(BETA) for hub in hubs] == ["online"] * 3
    clock.advance(11)
    before = len(log)
    hubs[0].presence.take_untold()
    assert len(log) == before, "it has been heard"


def report(hub: Hub, *, up: bool = True) -> None:
    hub.presence.renewed(
        NODE, version="v", gateways={BETA: up}, unconfigured=(), gateway_kind="unknown"
    )


def test_what_was_told_while_the_database_was_away_is_told_again_when_it_is_back() -> None:
    log, hubs, _ = fleet()
    hubs[0].connect("stream")
    report(hubs[0])
    hear_all(hubs)
    heard = len(log)
    report(hubs[0], up=False)
    del log[heard:]
    hubs[0].presence.tell_again()
    hear_all(hubs)
    assert [hub.presence.status(BETA) for hub in hubs] == ["gateway-down"] * 3
    heard = len(log)
    hubs[0].hang_up()
    del log[heard:]
    hubs[0].presence.tell_again()
    hear_all(hubs)
    assert [hub.presence.lease(NODE) for hub in hubs] == [None] * 3
    heard = len(log)
    hubs[0].presence.tell_again()
    assert len(log) == heard, "all of it has been heard"


def test_beats_that_were_not_written_are_joined() -> None:
    first = told.Beat(1, (NODE,), {BETA: 1}, {BETA: 1})
    assert first.joined(told.Beat(2, (), {BETA: 2})) == told.Beat(2, (NODE,), {BETA: 2}, {BETA: 1})
