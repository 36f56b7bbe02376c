"""Commands, reads, rosters, sweeps and history of a store, case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.core import errors
from agent_bus.core.model import OPERATOR, AgentName, MessageId, NodeName, Roster, Seq, Stamp
from agent_bus.core.slices import HistorySlice, InboxSlice, SweepBounds
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import ALPHA, BETA, GAMMA, ROSTER, Told, draft, enrolled, inbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agent_bus.core.states import StampKind
    from agent_bus.store.contract import Backend

    Opening = Callable[..., AbstractContextManager[Backend]]

DAY_MS = int(DAY_S * 1000)


def sweep(store: Backend, *, limit: int = 100) -> int:
    bounds = SweepBounds(retain_read_ms=7 * DAY_MS, retain_archive_ms=365 * DAY_MS, limit=limit)
    return store.sweep(bounds)


def test_a_reply_belongs_to_its_thread_and_only_to_who_saw_the_parent(store: Backend) -> None:
    first = store.send(draft(), depth_limit=2).message
    answer = draft("alpha", sender=BETA, reply_to=first.id)
    second = store.send(answer, depth_limit=2).message
    assert (second.thread_id, second.depth) == (first.id, 1)
    with pytest.raises(errors.UnknownMessageError):
        store.send(draft("alpha", sender=GAMMA, reply_to=first.id), depth_limit=2)
    third = store.send(draft(reply_to=second.id), depth_limit=2).message
    with pytest.raises(errors.ThreadBudgetError):
        store.send(draft("alpha", sender=BETA, reply_to=third.id), depth_limit=2)
    word = store.send(draft("alpha", sender=OPERATOR, reply_to=third.id), depth_limit=2).message
    assert (word.thread_id, word.depth) == (first.id, 0)


def test_a_message_to_nobody_is_refused(store: Backend) -> None:
    with pytest.raises(errors.NoRecipientError):
        store.send(draft(recipients=()), depth_limit=2)
    assert store.head() == 0


def test_another_payload_under_the_same_key_is_a_conflict(store: Backend) -> None:
    first = store.send(draft(idempotency_key="k", payload_sha256=b"1"), depth_limit=2)
    assert store.replay_of(ALPHA, "k")
    with pytest.raises(errors.IdempotencyConflictError) as refused:
        store.send(draft(idempotency_key="k", payload_sha256=b"2"), depth_limit=2)
    assert refused.value.extra == {"message_id": first.message.id}
    other = store.send(draft(sender=BETA, idempotency_key="k", payload_sha256=b"2"), depth_limit=2)
    assert other.message.id != first.message.id


def test_ack_up_to_takes_only_what_was_shown(store: Backend) -> None:
    sent = [store.send(draft(body=str(n)), depth_limit=2) for n in range(4)]
    seqs = [s.deliveries[0].seq for s in sent]
    store.fetch(BETA, [seqs[0], seqs[2], seqs[3]])
    acked = store.ack_up_to(BETA, sent[2].message.id)
    assert acked.acked == (sent[0].message.id, sent[2].message.id)
    assert inbox(store, "beta") == ["1", "3"]
    assert store.ack_up_to(BETA, MessageId("0" * 26)).unknown == ("0" * 26,)
    assert store.ack_up_to(GAMMA, sent[0].message.id).unknown == (sent[0].message.id,)


def test_a_fetch_counts_and_keeps_its_first_time(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        seq = store.send(draft(), depth_limit=2).deliveries[0].seq
        assert store.fetch(BETA, [seq]).before == {seq: (None, 0)}
        at = clock.now_ms()
        clock.advance(5)
        again = store.fetch(BETA, [seq])
        assert again.before == {seq: (at, 1)}
        assert again.mailboxes == ()
        assert store.fetch(GAMMA, [seq, Seq(99)]).before == {}


def test_a_fetch_within_two_minutes_leaves_the_stamp_of_the_one_before(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        seq = store.send(draft(), depth_limit=2).deliveries[0].seq
        first = clock.now_ms()
        store.fetch(BETA, [seq])
        for count, seconds in enumerate((60.0, 59.0, 2.0), start=1):
            clock.advance(seconds)
            assert store.fetch(BETA, [seq]).before == {seq: (first, count)}
        assert store.fetch(BETA, [seq]).before == {seq: (first + 121_000, 4)}


@pytest.mark.parametrize("back_s", [1.0, 60.0, DAY_S])
def test_a_stamp_from_before_the_clock_was_set_back_moves(opened: Opening, back_s: float) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        seq = store.send(draft(), depth_limit=2).deliveries[0].seq
        store.fetch(BETA, [seq])
        clock.jump(-back_s)
        store.fetch(BETA, [seq])
        assert store.fetch(BETA, [seq]).before == {seq: (clock.now_ms(), 2)}


def test_reports_reach_what_they_are_about(store: Backend) -> None:
    sent = [store.send(draft(), depth_limit=2) for _ in range(3)]
    store.ack_ids(BETA, [sent[0].message.id])
    store.fetch(BETA, [Seq(2)])
    kinds: tuple[StampKind, ...] = ("received", "accepted", "failed", "escalated", "overdue")
    store.stamp([Stamp(kind, BETA, Seq(2), 7, "why", up_to=True) for kind in kinds])
    store.stamp([Stamp("received", BETA, Seq(3), 9, up_to=True)])
    store.fetch(BETA, [])
    found = [store.message(s.message.id) for s in sent]
    rows = [f[1][0] for f in found if f is not None]
    assert [r.received_at for r in rows] == [7, 7, 9]
    assert [r.accepted_at for r in rows] == [7, 7, None]
    assert [r.escalated_at for r in rows] == [None, 7, None]
    assert [r.overdue_at for r in rows] == [None, 7, None]
    assert [r.wake_failed_at for r in rows] == [None, None, None]  # read, and fetched


def test_a_page_goes_on_inside_a_priority_and_across_them(store: Backend) -> None:
    for number, rank in enumerate((2, 1, 2, 0, 1)):
        store.send(draft(body=f"{rank}{number}", rank=rank), depth_limit=2)
    assert inbox(store, "beta") == ["03", "11", "14", "20", "22"]

    def page(after: tuple[int, int], rank: int | None = None) -> list[str]:
        found = store.inbox(InboxSlice(BETA, rank=rank, after=after, limit=2))
        return [d.message.body for d in found]

    assert page((0, 4)) == ["11", "14"]
    assert page((1, 2)) == ["14", "20"]
    assert page((2, 1)) == ["22"]
    assert page((-1, 0), rank=2) == ["20", "22"]
    assert page((2, 1), rank=2) == ["22"]
    assert page((2, 1), rank=0) == []


def test_a_sweep_goes_on_when_many_messages_of_one_agent_expire(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        for _ in range(25):
            store.send(draft(expires_in_s=60), depth_limit=2)
        clock.advance(61)
        rounds = 0
        while sweep(store, limit=10) >= 10:
            rounds += 1
        assert rounds == 2
        assert store.mailboxes()[0].unread == 0


def test_a_message_for_an_agent_without_a_mailbox_does_not_stop_the_sweep(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        store.send(draft("ghost", expires_in_s=1), depth_limit=2)
        store.send(draft(expires_in_s=1), depth_limit=2)
        clock.advance(2)
        sweep(store)
        assert {b.agent: b.unread for b in store.mailboxes()}[BETA] == 0
        clock.advance(8 * DAY_S)
        assert sweep(store) == 2


def test_keys_are_forgotten_in_bounded_rounds(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        for number in range(25):
            keyed = draft(idempotency_key=str(number), payload_sha256=b"1")
            store.send(keyed, depth_limit=2)
        clock.advance(DAY_S + 1)
        assert [sweep(store, limit=10) for _ in range(4)] == [10, 10, 5, 0]


def test_unread_mail_never_moves_and_read_mail_waits_its_days(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        kept = store.send(draft(recipients=(BETA, GAMMA)), depth_limit=2).message.id
        gone = store.send(draft(), depth_limit=2).message.id
        store.ack_ids(BETA, [kept, gone])
        clock.advance(6.9 * DAY_S)
        assert sweep(store) == 0
        clock.advance(DAY_S)
        assert sweep(store) == 1
        assert store.archived_seq([BETA]) == 3
        assert store.archived_seq([GAMMA]) == 0
        assert store.ack_ids(BETA, [gone]).already_acked == (gone,)
        assert store.message(gone) is not None
        clock.advance(366 * DAY_S)
        assert sweep(store) == 1
        assert store.message(gone) is None
        assert store.message(kept) is not None


def test_history_keeps_to_a_pair_a_thread_and_a_time(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        sent = []
        for number in range(4):
            to, sender = ("beta", ALPHA) if number % 2 else ("gamma", BETA)
            sent.append(store.send(draft(to, body=str(number), sender=sender), depth_limit=2))
            clock.advance(60)

        def bodies(agent: AgentName | None, **more: Any) -> list[str]:
            wanted = HistorySlice(agent=agent, limit=10, **more)
            return [m.body for m, _ in store.history(wanted)]

        assert bodies(BETA) == ["0", "1", "2", "3"]
        assert bodies(ALPHA) == ["1", "3"]
        assert bodies(BETA, partner=GAMMA) == ["0", "2"]
        assert bodies(BETA, partner=GAMMA, ascending=False) == ["2", "0"]
        second = sent[1].message
        assert bodies(BETA, thread=second.thread_id) == ["1"]
        assert bodies(None, thread=second.thread_id) == ["1"]
        since, until = second.created_at, sent[3].message.created_at
        assert bodies(BETA, since=since, until=until) == ["1", "2"]


def test_a_roster_that_shrinks_much_needs_force(store: Backend) -> None:
    with pytest.raises(errors.RosterShrinksError):
        store.put_roster(Roster(agents={}), force=False, dry_run=False)
    two_of_three = Roster(agents={ALPHA: NodeName("n1")})
    assert store.put_roster(two_of_three, force=False, dry_run=True).retired == (BETA, GAMMA)


def test_listeners_hear_of_a_roster_only_when_it_changed(opened: Opening) -> None:
    told = Told()
    with opened(listener=told) as store:
        for dry_run in (True, False, False):
            store.put_roster(ROSTER, force=False, dry_run=dry_run)
        assert [r.agents for r in told.rosters] == [ROSTER.agents]


def test_sets_of_rules_are_kept_and_compared_as_wholes(opened: Opening) -> None:
    policies = {"rights": '[{"from":"alpha"}]', "budgets": "{}"}
    with opened() as store:
        enrolled(store)
        told = replace(ROSTER, policies=policies)
        change = store.put_roster(told, force=False, dry_run=False)
        assert change.policies_changed == ("budgets", "rights")
        assert not store.put_roster(told, force=False, dry_run=False).changed
    with opened() as store:
        assert store.roster()[0].policies == policies
        fewer = replace(ROSTER, policies={"rights": "[]"})
        change = store.put_roster(fewer, force=False, dry_run=False)
        assert change.policies_changed == ("budgets", "rights")
        assert store.roster()[0].policies == fewer.policies


def test_which_agents_have_tokens_of_their_own_is_kept(opened: Opening) -> None:
    """With whether their nodes' tokens speak for them, too: either is a change by itself."""
    own = {ALPHA: ("6" * 64,), GAMMA: ("7" * 64, "8" * 64)}
    both = replace(ROSTER, agent_tokens=own, node_too=frozenset({GAMMA}))
    with opened() as store:
        enrolled(store)
        assert store.put_roster(both, force=False, dry_run=False).agent_tokens_changed == (
            ALPHA,
            GAMMA,
        )
        assert not store.put_roster(both, force=False, dry_run=False).changed
    with opened() as store:
        kept = store.roster()[0]
        assert (kept.agent_tokens, kept.node_too) == (both.agent_tokens, both.node_too)
        alone = replace(both, node_too=frozenset())
        change = store.put_roster(alone, force=False, dry_run=False)
        assert change.agent_tokens_changed == (GAMMA,)
        assert store.roster()[0].node_too == frozenset()
        change = store.put_roster(ROSTER, force=False, dry_run=False)
        assert change.agent_tokens_changed == (ALPHA, GAMMA)
        assert store.roster()[0].agent_tokens == {}


def test_since_when_an_agent_has_two_tokens_is_kept_until_it_has_one(opened: Opening) -> None:
    """Beside a node of the same name; that the node's token counts, too, is no rotation."""
    clock = FakeClock()
    twin = NodeName(ALPHA)
    one = replace(
        ROSTER, tokens={**ROSTER.tokens, twin: ("5" * 64,)}, agent_tokens={ALPHA: ("6" * 64,)}
    )
    two = replace(one, agent_tokens={ALPHA: ("6" * 64, "7" * 64)})
    with opened(clock=clock) as store:
        enrolled(store, one)
        assert store.ages().rotating_agents == {}
        began = clock.now_ms()
        store.put_roster(two, force=False, dry_run=False)
        clock.advance(60)
        store.put_roster(replace(two, node_too=frozenset({ALPHA})), force=False, dry_run=False)
        assert (store.ages().rotating_agents, store.ages().rotating) == ({ALPHA: began}, {})
        store.put_roster(one, force=False, dry_run=False)
        assert store.ages().rotating_agents == {}


def test_which_nodes_are_guests_is_kept(opened: Opening) -> None:
    guests = frozenset({NodeName("n1"), NodeName("guest")})
    with opened() as store:
        enrolled(store)
        change = store.put_roster(replace(ROSTER, guests=guests), force=False, dry_run=False)
        assert change.guests_changed == ("guest", "n1")
        again = store.put_roster(replace(ROSTER, guests=guests), force=False, dry_run=False)
        assert not again.changed
    with opened() as store:
        assert store.roster()[0].guests == guests
        assert store.put_roster(ROSTER, force=False, dry_run=False).guests_changed == (
            "guest",
            "n1",
        )
        assert store.roster()[0].guests == frozenset()


def test_a_store_opens_what_it_closed(opened: Opening) -> None:
    with opened() as store:
        enrolled(store)
        store.send(draft(), depth_limit=2)
        epoch, facts = store.epoch, store.facts()
    with opened() as store:
        assert store.epoch == epoch
        assert store.facts() == facts
        assert inbox(store, "beta") == ["hello"]
        assert store.send(draft(), depth_limit=2).deliveries[0].seq == 2


def test_a_seq_never_comes_again(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        store.ack_ids(BETA, [store.send(draft(), depth_limit=2).message.id])
        for _ in range(2):
            clock.advance(400 * DAY_S)
            sweep(store)
        assert store.counts()["head"] == 1
    with opened(clock=clock) as store:
        assert store.send(draft(), depth_limit=2).deliveries[0].seq == 2
