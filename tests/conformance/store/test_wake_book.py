"""What every store keeps about wakes: pauses, and how many wakes there were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.core import states
from agent_bus.core.guards.pauses import AGENT, FLEET, GROUP, Pause
from agent_bus.core.guards.wakes import DAY_MS, HOUR_MS, MINUTE_MS, Wake, WakeCount
from agent_bus.core.model import Seq
from agent_bus.core.slices import SweepBounds
from tests.support.clock import FakeClock
from tests.support.patience import wait_until
from tests.support.store import ALPHA, BETA, GAMMA, draft, enrolled

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agent_bus.store.contract import Backend

    Opening = Callable[..., AbstractContextManager[Backend]]


def woken(at: int, *, seq: int = 1, kind: states.WakeKind = states.WAKE) -> Wake:
    return Wake(BETA, Seq(seq), at, kind)


def counted(store: Backend, total: int, *, since: int = 0) -> list[WakeCount]:
    """The counts, once there are as many: nobody waits for the writing."""
    wait_until(lambda: sum(one.count for one in store.wake_book.counts(since=since)) == total)
    return store.wake_book.counts(since=since)


def test_a_pause_is_found_again_after_a_restart(opened: Opening) -> None:
    kept = [
        Pause(AGENT, "beta", states.MUTED, 5, 9),
        Pause(FLEET, "", states.PAUSED, 1, None, "all quiet"),
        Pause(GROUP, "greeks", states.PAUSED, 3),
    ]
    with opened() as store:
        for pause in kept:
            store.wake_book.put_pause(pause)
    with opened() as store:
        assert store.wake_book.pauses() == kept


def test_a_pause_replaces_one_of_the_same_name_and_ends_alone(store: Backend) -> None:
    book = store.wake_book
    book.put_pause(Pause(AGENT, "beta", states.MUTED, 5, 9))
    book.put_pause(Pause(AGENT, "beta", states.PAUSED, 6, None, "again"))
    book.put_pause(Pause(GROUP, "beta", states.PAUSED, 7))
    book.end_pause(AGENT, "beta")
    book.end_pause(AGENT, "never")
    assert book.pauses() == [Pause(GROUP, "beta", states.PAUSED, 7)]


def test_wakes_are_counted_for_the_sender_of_the_newest_delivery(store: Backend) -> None:
    store.send(draft(sender=ALPHA), depth_limit=5)
    store.send(draft(sender=GAMMA), depth_limit=5)
    at = 100 * DAY_MS + 5
    wakes = [woken(at), woken(at + 1), woken(at, seq=2), woken(at, seq=99), woken(at + MINUTE_MS)]
    store.wake_book.note([*wakes, woken(at, kind=states.URGENT)])
    slot = 100 * DAY_MS
    assert counted(store, 6) == [
        WakeCount(slot, BETA, "", states.WAKE, 1),
        WakeCount(slot, BETA, ALPHA, states.URGENT, 1),
        WakeCount(slot, BETA, ALPHA, states.WAKE, 2),
        WakeCount(slot, BETA, GAMMA, states.WAKE, 1),
        WakeCount(slot + MINUTE_MS, BETA, ALPHA, states.WAKE, 1),
    ]
    assert counted(store, 1, since=slot + 1)[0].slot_at == slot + MINUTE_MS


def test_the_sender_of_archived_mail_is_known(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        sent = store.send(draft(sender=ALPHA), depth_limit=5)
        store.ack_ids(BETA, [sent.message.id])
        clock.advance(10)
        store.sweep(SweepBounds(retain_read_ms=0, retain_archive_ms=DAY_MS, limit=10))
        store.wake_book.note([woken(DAY_MS)])
        assert counted(store, 1)[0].sender == ALPHA


def test_old_counts_are_kept_per_hour_and_the_oldest_not_at_all(store: Backend) -> None:
    now = 200 * DAY_MS + 30 * MINUTE_MS
    old, fresh = now - 3 * DAY_MS, now - DAY_MS
    times = [old, old + MINUTE_MS, old + 2 * MINUTE_MS, fresh, fresh + MINUTE_MS]
    store.wake_book.note([woken(at) for at in [*times, now - 91 * DAY_MS]])
    counted(store, 6)
    for _ in range(2):
        store.wake_book.tidy(now=now)
        found = counted(store, 5)
    hour = old - old % HOUR_MS
    assert [(one.slot_at, one.count) for one in found] == [(hour, 3), (fresh, 1), (times[4], 1)]


def test_pauses_whose_time_is_over_are_forgotten(store: Backend) -> None:
    book = store.wake_book
    book.put_pause(Pause(AGENT, "beta", states.MUTED, 5, DAY_MS))
    book.put_pause(Pause(AGENT, "alpha", states.PAUSED, 5))
    book.tidy(now=2 * DAY_MS)
    wait_until(lambda: len(book.pauses()) == 1)
    assert book.pauses() == [Pause(AGENT, "alpha", states.PAUSED, 5)]
