"""What a store keeps for webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.core import states
from agent_bus.core.model import AgentName, MessageId, Seq, Stamp
from agent_bus.core.slices import SweepBounds
from agent_bus.store.outgoing import LONGEST_WAIT_MS, Report, Settled, Telling
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import ALPHA, BETA, draft, enrolled, until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from agent_bus.core.states import WebhookEvent
    from agent_bus.store.contract import Backend
    from agent_bus.store.outgoing import Outgoing, Taken

    Opening = Callable[..., AbstractContextManager[Backend]]

MANY = 1000


def all_to_ops(_kind: WebhookEvent, agent: AgentName) -> Sequence[str]:
    return ["ops"] if agent == BETA else []


def take(outgoing: Outgoing, name: str = "ops") -> Taken:
    return outgoing.exchange(name, (), None, take=MANY)


def kinds(taken: Taken) -> list[tuple[str, str]]:
    return [(one.kind, one.delivery.message.body) for one in taken.events]


def begun(store: Backend, *names: str) -> Outgoing:
    """The store's queue with these webhooks, all of whose events are noted."""
    outgoing = store.outgoing
    outgoing.adopt(names or ["ops"])
    outgoing.note(states.WEBHOOK_EVENTS)
    return outgoing


def test_events_are_those_since_the_first_webhook_of_wanted_agents(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        store.send(draft(body="before"), depth_limit=50)
        outgoing = begun(store)
        clock.advance(1)
        sent = store.send(draft(body="first"), depth_limit=50)
        store.send(draft("gamma", "for another"), depth_limit=50)
        store.send(draft(body="second"), depth_limit=50)
        assert not outgoing.due()
        fed = outgoing.feed(all_to_ops, limit=MANY)
        assert (fed.added, fed.has_more) == ({"ops": 2}, False)
        assert outgoing.due() == ["ops"]
        taken = take(outgoing)
        assert kinds(taken) == [("message", "first"), ("message", "second")]
        assert taken.events[0].at == sent.message.created_at == clock.now_ms()
        assert taken.events[0].delivery.agent == BETA
        assert outgoing.feed(all_to_ops, limit=MANY).added == {}


def test_what_is_taken_comes_again_until_it_is_settled(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        outgoing = begun(enrolled(store))
        for body in "ab":
            store.send(draft(body=body), depth_limit=50)
        outgoing.feed(all_to_ops, limit=MANY)
        first = take(outgoing)
    with opened(clock=clock) as store:
        outgoing = begun(store)
        again = take(outgoing)
        assert again.events == first.events
        later = clock.steady_ms() + 5000
        done = [Settled(first.events[0].pk, None), Settled(first.events[1].pk, later)]
        at = clock.now_ms()
        report = Report(delivered=1, failures=1, succeeded_at=at, failed_at=at, error="500")
        left = outgoing.exchange("ops", done, report, take=MANY)
        assert (left.events, left.next_at, left.failures) == ((), later, 1)
        assert outgoing.due() == []
        clock.advance(5)
        assert outgoing.due() == ["ops"]
        assert [(one.attempts, one.delivery.message.body) for one in take(outgoing).events] == [
            (1, "b")
        ]
        (state,) = outgoing.states()
        assert (state.pending, state.delivered, state.failures, state.error) == (1, 1, 1, "500")
        assert state.succeeded_at == state.failed_at == at
        assert state.oldest_at == later - 5000


def test_what_is_read_and_overdue_is_told_once(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        outgoing = begun(enrolled(store))
        ids: list[MessageId] = []
        for body in ("by id", "up to", "overdue"):
            sent = store.send(draft(body=body), depth_limit=50)
            ids.append(sent.message.id)
        overdue = Stamp(states.OVERDUE, BETA, sent.deliveries[0].seq, clock.now_ms(), up_to=True)
        store.fetch(BETA, [Seq(2)])
        clock.advance(1)
        store.ack_ids(BETA, [ids[0], ids[0]])
        store.ack_ids(BETA, [ids[0]])
        store.ack_up_to(BETA, ids[2])
        store.stamp([overdue, overdue])
        until(outgoing.has_stamps, "stamps are noted")
        store.stamp([overdue])
        store.ack_ids(ALPHA, [])  # behind the stamps
        outgoing.feed(all_to_ops, limit=MANY)
        assert not outgoing.has_stamps()
        found = take(outgoing)
        assert kinds(found)[3:] == [("read", "by id"), ("read", "up to"), ("overdue", "overdue")]
        assert [one.at for one in found.events[3:]] == [clock.now_ms()] * 2 + [overdue.at]


def test_nothing_is_noted_that_no_webhook_wants(opened: Opening) -> None:
    with opened() as store:
        outgoing = begun(enrolled(store))
        outgoing.note(["overdue"])
        sent = store.send(draft(), depth_limit=50)
        store.ack_ids(BETA, [sent.message.id])
        assert not outgoing.has_stamps()


def test_an_event_outlives_the_move_of_its_message_to_the_archive(opened: Opening) -> None:
    with opened() as store:
        outgoing = begun(enrolled(store))
        sent = store.send(draft(body="old"), depth_limit=50)
        store.ack_ids(BETA, [sent.message.id])
        store.sweep(SweepBounds(retain_read_ms=0, retain_archive_ms=10**12, limit=100))
        outgoing.feed(all_to_ops, limit=MANY)
        taken = take(outgoing)
        assert kinds(taken) == [("message", "old"), ("read", "old")]
        store.sweep(SweepBounds(retain_read_ms=0, retain_archive_ms=-1, limit=100))
        assert take(outgoing).events == ()
        assert outgoing.states()[0].pending == 0


def test_the_oldest_events_make_room_and_are_counted(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        outgoing = begun(enrolled(store))
        for number in range(5):
            store.send(draft(body=str(number)), depth_limit=50)
        outgoing.feed(all_to_ops, limit=3)
        assert [body for _, body in kinds(take(outgoing))] == ["2", "3", "4"]
        (state,) = outgoing.states()
        assert (state.pending, state.dropped, state.lost_at) == (3, 2, clock.now_ms())


def test_a_webhook_that_is_held_or_disabled_gives_nothing_until_it_is_hastened(
    opened: Opening,
) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        outgoing = begun(enrolled(store))
        store.send(draft(), depth_limit=50)
        outgoing.feed(all_to_ops, limit=MANY)
        until_at = clock.steady_ms() + 60_000
        held = outgoing.exchange("ops", (), Report(failures=3, held_until=until_at), take=MANY)
        assert (held.events, held.next_at) == ((), until_at)
        assert outgoing.due() == []
        assert outgoing.hasten("ops") is False
        (event,) = take(outgoing).events
        gone = Report(failures=1, disabled_at=clock.now_ms(), error="410")
        disabled = outgoing.exchange("ops", [Settled(event.pk, until_at + 1)], gone, take=MANY)
        assert (disabled.events, disabled.next_at) == ((), None)
        assert outgoing.due() == []
        outgoing.hasten("ops")
        assert len(take(outgoing).events) == 1
        assert outgoing.states()[0].disabled_at is None


def test_webhooks_that_are_gone_are_forgotten_with_their_events(opened: Opening) -> None:
    with opened() as store:
        outgoing = begun(enrolled(store), "ops", "other")
        store.send(draft(), depth_limit=50)
        outgoing.feed(lambda _k, a: ["ops", "other"] if a == BETA else [], limit=MANY)
        outgoing.adopt(["other"])
        assert [(one.name, one.pending) for one in outgoing.states()] == [("other", 1)]
        assert take(outgoing).events == ()
        outgoing.adopt([])
        assert outgoing.states() == []
        store.send(draft(body="meanwhile"), depth_limit=50)
        outgoing.adopt(["ops"])
        outgoing.feed(all_to_ops, limit=MANY)
        assert take(outgoing).events == ()


def test_a_clock_that_was_set_back_holds_no_event_for_ever(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        outgoing = begun(enrolled(store))
        store.send(draft(), depth_limit=50)
        outgoing.feed(all_to_ops, limit=MANY)
        (event,) = take(outgoing).events
        soon = clock.steady_ms() + 5000
        held = Report(failures=1, held_until=soon)
        outgoing.exchange("ops", [Settled(event.pk, soon)], held, take=0)
    back = FakeClock(wall_ms=clock.steady_ms() - int(30 * DAY_S * 1000))
    assert back.steady_ms() + LONGEST_WAIT_MS < soon
    with opened(clock=back) as store:
        outgoing = begun(store)
        (event,) = take(outgoing).events
        assert event.queued_at == back.steady_ms()


def test_feeding_goes_on_in_parts(opened: Opening) -> None:
    with opened() as store:
        outgoing = begun(enrolled(store))
        fleet = (BETA, AgentName("gamma"))
        for _ in range(300):
            store.send(draft(recipients=fleet), depth_limit=50)
        parts = []
        while True:
            fed = outgoing.feed(all_to_ops, limit=MANY)
            parts.append(fed.added["ops"])
            if not fed.has_more:
                break
        assert parts == [250, 50]


def test_what_was_told_is_noted_by_name_and_time(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        outgoing = begun(enrolled(store), "channel.mail", "channel.phone")
        seq = store.send(draft(), depth_limit=50).deliveries[0].seq
        outgoing.feed(lambda _kind, _agent: ["channel.mail", "channel.phone"], limit=MANY)
        at = clock.now_ms() + 5
        for name, told_at in (("channel.phone", at + 1), ("channel.mail", at)):
            (event,) = take(outgoing, name).events
            outgoing.exchange(name, [Settled(event.pk, None, told_at=told_at)], None, take=1)
        assert outgoing.tellings([seq, Seq(seq + 1)]) == [
            Telling("channel.mail", seq, at), Telling("channel.phone", seq, at + 1),
        ]  # fmt: skip


def test_what_was_only_put_off_counts_no_attempt(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        outgoing = begun(enrolled(store))
        store.send(draft(), depth_limit=50)
        outgoing.feed(all_to_ops, limit=MANY)
        (event,) = take(outgoing).events
        later = clock.steady_ms() + 5000
        put_off = Settled(event.pk, later, is_attempt=False)
        assert outgoing.exchange("ops", [put_off], None, take=MANY).next_at == later
        clock.advance(5)
        assert [one.attempts for one in take(outgoing).events] == [0]


def test_what_was_told_is_forgotten_with_its_message(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        outgoing = begun(enrolled(store), "channel.mail")
        sent = store.send(draft(), depth_limit=50)
        seq = sent.deliveries[0].seq
        outgoing.feed(lambda _kind, _agent: ["channel.mail"], limit=MANY)
        (event,) = take(outgoing, "channel.mail").events
        settled = [Settled(event.pk, None, told_at=clock.now_ms())]
        outgoing.exchange("channel.mail", settled, None, take=1)
        store.ack_ids(BETA, [sent.message.id])
        store.sweep(SweepBounds(retain_read_ms=0, retain_archive_ms=10**12, limit=100))
        assert outgoing.tellings([seq])
        store.sweep(SweepBounds(retain_read_ms=0, retain_archive_ms=-1, limit=100))
        assert not outgoing.tellings([seq])
