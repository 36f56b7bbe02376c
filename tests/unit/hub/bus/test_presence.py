from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_bus.bus.directory import Directory
from agent_bus.bus.presence import Presence
from agent_bus.core.model import Agent, AgentName, NodeName, Roster
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from agent_bus.core.states import AgentStatus

NODE, BETA = NodeName("n1"), AgentName("beta")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def presence(clock: FakeClock) -> Presence:
    return of_a_process(clock)


def of_a_process(
    clock: FakeClock,
    *,
    seen_at: int | None = None,
    retired_at: int | None = None,
    guests: frozenset[NodeName] = frozenset(),
) -> Presence:
    """What a process knows at its start, of beta alone."""
    directory = Directory()
    homes = {BETA: NODE} if retired_at is None else {}
    directory.replace(
        Roster(agents=homes, guests=guests), [Agent(BETA, NODE, retired_at, seen_at)]
    )
    return Presence(directory=directory, clock=clock, lease_s=75, offline_after_s=300)


def status(presence: Presence) -> AgentStatus:
    return presence.status(BETA)


def renew(presence: Presence, *, up: bool = True) -> None:
    presence.renewed(
        NODE, version="v", gateways={BETA: up}, unconfigured=(), gateway_kind="unknown"
    )


def test_the_five_states(presence: Presence, clock: FakeClock) -> None:
    assert status(presence) == "offline"
    presence.seen(BETA)
    assert status(presence) == "deaf"
    presence.opened(NODE, object(), (BETA,))
    assert status(presence) == "online"
    renew(presence, up=False)
    assert status(presence) == "gateway-down"
    clock.advance(76)
    assert status(presence) == "deaf"
    clock.advance(300)
    assert status(presence) == "offline"
    assert status(of_a_process(clock, retired_at=1, seen_at=clock.now_ms())) == "retired"


def test_an_agent_of_a_guest_is_one_however_long_it_is_silent(clock: FakeClock) -> None:
    presence = of_a_process(clock, guests=frozenset({NODE}))
    assert status(presence) == "guest"
    presence.seen(BETA)
    assert (status(presence), presence.last_seen_at(BETA)) == ("guest", clock.now_ms())
    clock.advance(301)
    assert status(presence) == "guest"
    presence.opened(NODE, object(), (BETA,))
    assert status(presence) == "online", "it runs a watcher of its own"


def test_what_an_earlier_process_saw_counts(clock: FakeClock) -> None:
    seen_at = clock.now_ms() - 200_000
    presence = of_a_process(clock, seen_at=seen_at)
    assert status(presence) == "deaf"
    assert presence.last_seen_at(BETA) == seen_at
    assert presence.take_unsaved() == {}
    clock.advance(101)
    assert status(presence) == "offline"


def test_a_clock_that_was_ahead_then_makes_nobody_immortal(clock: FakeClock) -> None:
    presence = of_a_process(clock, seen_at=clock.now_ms() + 86_400_000)
    clock.advance(299)
    assert status(presence) == "deaf"
    clock.advance(2)
    assert status(presence) == "offline"


def test_a_report_renews_the_lease_but_cannot_take_one(
    presence: Presence, clock: FakeClock
) -> None:
    renew(presence)
    assert status(presence) == "deaf"
    presence.opened(NODE, object(), (BETA,))
    for _ in range(5):
        clock.advance(70)
        renew(presence)
        assert status(presence) == "online"


def test_the_older_streams_end_leaves_the_newer_ones_lease(presence: Presence) -> None:
    older, newer = object(), object()
    presence.opened(NODE, older, (BETA,))
    renew(presence, up=False)
    presence.opened(NODE, newer, (BETA,))
    presence.closed(NODE, older)
    assert status(presence) == "gateway-down"
    presence.closed(NODE, newer)
    presence.closed(NODE, newer)
    assert status(presence) == "deaf"


def test_the_end_of_a_stream_is_no_sign_of_life(presence: Presence, clock: FakeClock) -> None:
    """A node without power: its stream ends when the kernel gives it up."""
    stream = object()
    presence.opened(NODE, stream, (BETA,))
    seen_at = presence.last_seen_at(BETA)
    clock.advance(40)
    presence.closed(NODE, stream)
    assert presence.last_seen_at(BETA) == seen_at
    clock.advance(261)
    assert status(presence) == "offline"


def test_signs_of_life_are_handed_out_once(presence: Presence, clock: FakeClock) -> None:
    presence.seen(BETA)
    assert presence.take_unsaved() == {BETA: clock.now_ms()}
    assert presence.take_unsaved() == {}
