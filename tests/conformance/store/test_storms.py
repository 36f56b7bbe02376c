"""What a store keeps for the storm guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.core.guards.storms.withheld import HeldTimes
from agent_bus.core.model import AgentName, MessageId, Seq
from agent_bus.core.slices import SweepBounds
from agent_bus.store.guards.storms import KEPT_MS, HeldDelivery, KeptStorm
from tests.support.clock import FakeClock
from tests.support.store import ALPHA, BETA, draft, enrolled

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agent_bus.store.contract import Backend

    Opening = Callable[..., AbstractContextManager[Backend]]

PAIR = KeptStorm("alpha,beta", "turns", (ALPHA, BETA), since_at=1_000, held_at=2_000)
THREAD = KeptStorm("01M7", "repeats", (BETA, AgentName("gamma")), since_at=500, held_at=3_000)


BOUNDS = SweepBounds(retain_read_ms=10**9, retain_archive_ms=10**9, limit=100)


def sent(store: Backend) -> Seq:
    return store.send(draft(), depth_limit=50).deliveries[0].seq


def test_a_held_storm_is_there_after_a_restart(opened: Opening) -> None:
    with opened() as store:
        store.storms.keep(PAIR)
    with opened() as store:
        assert store.storms.held() == [PAIR]


def test_a_released_storm_is_held_no_more_but_known(opened: Opening) -> None:
    with opened() as store:
        store.storms.keep(PAIR)
        store.storms.keep(THREAD)
        store.storms.release(PAIR.key, at=9_000)
        assert store.storms.held() == [THREAD]
        found = store.storms.newest(limit=10)
        assert [(one.key, one.released_at) for one in found] == [
            (THREAD.key, None),
            (PAIR.key, 9_000),
        ]
        assert store.storms.newest(limit=1) == [THREAD]


def test_a_storm_that_is_held_again_is_held(opened: Opening) -> None:
    with opened() as store:
        store.storms.keep(PAIR)
        store.storms.release(PAIR.key, at=9_000)
        store.storms.keep(PAIR)
        assert store.storms.held() == [PAIR]


def test_withheld_deliveries_are_those_that_nobody_fetched(opened: Opening) -> None:
    with opened() as store:
        enrolled(store)
        first, second, third = sent(store), sent(store), sent(store)
        held = [HeldDelivery(seq, BETA, PAIR.key, 5_000) for seq in (first, second, third)]
        store.storms.note(held, (), at=5_000)
        store.storms.note(held[:1], (), at=6_000)  # again, as another hub may
        store.fetch(BETA, [second])
        store.storms.note((), [third], at=7_000)
        assert store.storms.withheld() == [held[0]]
        assert store.storms.unfetched([first, second, third]) == [first, third]
        assert store.storms.times([first, third, Seq(99)]) == {
            first: HeldTimes(5_000, None),
            third: HeldTimes(5_000, 7_000),
        }


def test_what_was_read_or_expired_without_a_fetch_waits_no_more(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        read = store.send(draft(), depth_limit=50)
        expired = store.send(draft(expires_in_s=60), depth_limit=50)
        both = store.send(draft(expires_in_s=60), depth_limit=50)
        seqs = [one.deliveries[0].seq for one in (read, expired, both)]
        store.storms.note([HeldDelivery(seq, BETA, PAIR.key, 1) for seq in seqs], (), at=1)
        store.ack_ids(BETA, [read.message.id])
        assert store.storms.unfetched(seqs) == seqs[1:]
        clock.advance(61)
        store.sweep(BOUNDS)
        store.ack_ids(BETA, [both.message.id])
        assert store.storms.unfetched(seqs) == []
        assert store.storms.withheld() == []
        (box,) = (one for one in store.mailboxes() if one.agent == BETA)
        assert box.unfetched == 0


def test_a_release_lets_the_deliveries_of_its_storm_go_alone(opened: Opening) -> None:
    with opened() as store:
        enrolled(store)
        mine, other = sent(store), sent(store)
        store.storms.note([HeldDelivery(mine, BETA, PAIR.key, 1)], (), at=1)
        store.storms.note([HeldDelivery(other, BETA, THREAD.key, 1)], (), at=1)
        store.storms.release(PAIR.key, at=2)
        assert [one.seq for one in store.storms.withheld()] == [other]


def test_times_are_forgotten_long_after_the_release(opened: Opening) -> None:
    with opened() as store:
        enrolled(store)
        seq = sent(store)
        store.storms.note([HeldDelivery(seq, BETA, PAIR.key, 1)], (), at=1)
        store.storms.keep(PAIR)
        store.storms.release(PAIR.key, at=2)
        store.storms.release(THREAD.key, at=3 + KEPT_MS)
        assert store.storms.times([seq]) == {}
        assert store.storms.newest(limit=9) == []


def test_held_mail_is_as_readable_as_any(opened: Opening) -> None:
    with opened() as store:
        enrolled(store)
        message = store.send(draft(), depth_limit=50)
        store.storms.note([HeldDelivery(message.deliveries[0].seq, BETA, "k", 1)], (), at=1)
        assert store.message(MessageId(message.message.id)) is not None
