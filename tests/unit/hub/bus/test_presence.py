from __future__ import annotations

import pytest

from agent_bus.bus.presence import Presence, Status
from agent_bus.core.model import AgentName, NodeName
from tests.support.clock import FakeClock

NODE, BETA = NodeName("n1"), AgentName("beta")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def presence(clock: FakeClock) -> Presence:
    return Presence(clock=clock, lease_s=75, offline_after_s=300)


def status(presence: Presence) -> Status:
    return presence.status(BETA, NODE, is_retired=False)


def renew(presence: Presence, *, up: bool = True) -> None:
    presence.renewed(NODE, version="v", gateways={BETA: up}, unconfigured=())


def test_the_five_states(presence: Presence, clock: FakeClock) -> None:
    assert status(presence) == "offline"
    presence.seen(BETA)
    assert status(presence) == "deaf"
    presence.opened(NODE, object(), (BETA,))
    assert status(presence) == "online"
    renew(presence, up=False)
    assert status(presence) == "gateway-down"
    assert presence.status(BETA, NODE, is_retired=True) == "retired"
    clock.advance(76)
    assert status(presence) == "deaf"
    clock.advance(300)
    assert status(presence) == "offline"


def test_what_an_earlier_process_saw_counts(presence: Presence, clock: FakeClock) -> None:
    seen_at = clock.now_ms() - 200_000
    presence.remember(BETA, seen_at)
    assert status(presence) == "deaf"
    assert presence.last_seen_at(BETA) == seen_at
    assert presence.take_unsaved() == {}
    clock.advance(101)
    assert status(presence) == "offline"


def test_a_clock_that_was_ahead_then_makes_nobody_immortal(
    presence: Presence, clock: FakeClock
) -> None:
    presence.remember(BETA, clock.now_ms() + 86_400_000)
    clock.advance(299)
    assert status(presence) == "deaf"
    clock.advance(2)
    assert status(presence) == "offline"


def test_what_was_seen_since_is_not_overwritten(presence: Presence, clock: FakeClock) -> None:
    presence.seen(BETA)
    presence.remember(BETA, clock.now_ms() - 400_000)
    assert status(presence) == "deaf"


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


def test_a_mute_ends_by_itself_whatever_the_wall_says(
    presence: Presence, clock: FakeClock
) -> None:
    presence.mute(BETA, for_s=60)
    until = presence.muted_until(BETA)
    assert until == clock.now_ms() + 60_000
    clock.jump(-86_400)
    assert presence.muted_until(BETA) == until
    clock.advance(61)
    assert presence.muted_until(BETA) is None
