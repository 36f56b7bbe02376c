"""Tasks of A2A: made, answered, canceled and ended with what is stored anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent
import pytest

from agent_bus.core import errors, task
from agent_bus.core.model import OPERATOR, AgentName, MessageId, Roster
from agent_bus.core.slices import SweepBounds
from agent_bus.core.task import Step, TaskSlice
from tests.support.clock import FakeClock
from tests.support.store import ALPHA, BETA, GAMMA, ROSTER, Told, draft, enrolled, inbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agent_bus.core.model import Sent
    from agent_bus.core.task import Task
    from agent_bus.store.contract import Backend, Store

    Opening = Callable[..., AbstractContextManager[Backend]]

DAY_MS = 86_400_000
OPEN = Step("open", None, "m1")


def asked(store: Store, to: str = "beta", **more: Any) -> Sent:
    """A request of alpha's."""
    return store.send(draft(to, **more), depth_limit=50, step=OPEN)


def reply(store: Store, to: MessageId, *, sender: AgentName = BETA, **more: Any) -> Sent:
    """A reply to alpha."""
    made = draft("alpha", "reply", sender=sender, reply_to=to, **more)
    return store.send(made, depth_limit=50)


def now(store: Store, of: Sent) -> Task:
    found = store.task(of.message.id)
    assert found is not None
    return found


def cancel(store: Store, of: MessageId, **more: Any) -> Sent:
    made = draft(body="no more", **{"reply_to": of, **more})
    return store.send(made, depth_limit=50, step=Step("cancel", of))


def test_a_task_is_open_then_fetched_then_completed(store: Backend) -> None:
    sent = asked(store)
    found = now(store, sent)
    assert (found.id, found.pk, found.thread_id) == (
        sent.message.id,
        sent.message.first_seq,
        sent.message.thread_id,
    )
    assert (found.owner, found.agent, found.client_id) == (ALPHA, BETA, "m1")
    assert (found.state, found.fetched_at, found.answer_id) == ("open", None, None)
    store.fetch(BETA, [d.seq for d in sent.deliveries])
    assert now(store, sent).fetched_at is not None
    answer = reply(store, sent.message.id)
    done = now(store, sent)
    assert (done.state, done.answer_id) == ("completed", answer.message.id)


def test_a_message_that_is_no_step_makes_no_task(store: Backend) -> None:
    sent = store.send(draft(), depth_limit=50)
    assert store.task(sent.message.id) is None


def test_the_first_answer_stays(store: Backend) -> None:
    sent = asked(store)
    first = reply(store, sent.message.id)
    reply(store, sent.message.id)
    assert now(store, sent).answer_id == first.message.id


def test_only_the_agents_message_to_the_owner_answers(store: Backend) -> None:
    sent = asked(store)
    aside = store.send(
        draft("gamma", "help?", sender=BETA, reply_to=sent.message.id), depth_limit=50
    )
    reply(store, aside.message.id, sender=GAMMA)
    store.send(draft("beta", "more", reply_to=sent.message.id), depth_limit=50)
    assert now(store, sent).state == "open"
    late = reply(store, aside.message.id)
    assert now(store, sent).answer_id == late.message.id, "in the thread, if not to the message"


def test_the_operator_may_answer_in_an_agents_place(store: Backend) -> None:
    sent = asked(store)
    reply(store, sent.message.id, sender=OPERATOR)
    assert now(store, sent).state == "completed"


def test_a_reply_answers_the_task_whose_message_it_replies_to(store: Backend) -> None:
    first = asked(store)
    second = asked(store, reply_to=first.message.id)
    added = store.send(
        draft(body="and", reply_to=second.message.id),
        depth_limit=50,
        step=Step("join", second.message.id),
    )
    reply(store, added.message.id)
    assert (now(store, first).state, now(store, second).state) == ("open", "completed")
    reply(store, second.message.id)
    assert now(store, first).state == "completed", "the oldest that is open"


def test_a_cancel_and_its_message_are_stored_together_and_once(store: Backend) -> None:
    sent = asked(store)
    cancel(store, sent.message.id)
    assert now(store, sent).state == "canceled"
    with pytest.raises(task.TaskEndedError) as refused:
        cancel(store, sent.message.id)
    assert refused.value.state == "canceled"
    assert inbox(store, "beta") == ["hello", "no more"]
    reply(store, sent.message.id)
    assert now(store, sent).state == "canceled"


def test_what_has_ended_takes_no_more(store: Backend) -> None:
    sent = asked(store)
    reply(store, sent.message.id)
    for step in (Step("cancel", sent.message.id), Step("join", sent.message.id)):
        with pytest.raises(task.TaskEndedError):
            store.send(draft(reply_to=sent.message.id), depth_limit=50, step=step)
    assert inbox(store, "beta") == ["hello"]


@pytest.mark.parametrize("more", [{"sender": GAMMA}, {"recipients": (GAMMA,)}])
def test_nobody_else_can_step(store: Backend, more: dict[str, Any]) -> None:
    sent = asked(store)
    step = Step("cancel", sent.message.id)
    with pytest.raises(task.UnknownTaskError):
        store.send(draft(body="x", **more), depth_limit=50, step=step)
    assert now(store, sent).state == "open"


def test_a_repeated_key_makes_one_task(store: Backend) -> None:
    keyed: dict[str, Any] = {"idempotency_key": "k", "payload_sha256": b"1"}
    sent = asked(store, **keyed)
    again = asked(store, **keyed)
    assert again.replayed
    assert again.message.id == sent.message.id
    with pytest.raises(errors.IdempotencyConflictError):
        asked(store, idempotency_key="k", payload_sha256=b"2")
    assert store.tasks(TaskSlice(ALPHA, BETA, limit=9)).total == 1


def test_an_unread_request_fails_when_it_expires_and_a_late_reply_changes_nothing(
    opened: Opening,
) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        sent = asked(store, expires_in_s=60)
        kept = asked(store, expires_in_s=60)
        store.ack_ids(BETA, [kept.message.id])
        clock.advance(61)
        store.sweep(SweepBounds(DAY_MS, DAY_MS, 100))
        assert (now(store, sent).state, now(store, kept).state) == ("failed", "open")
        reply(store, sent.message.id)
        assert now(store, sent).state == "failed"


def test_a_retired_agents_open_tasks_are_rejected_for_good(store: Backend) -> None:
    sent, done = asked(store, "gamma"), asked(store, "gamma")
    reply(store, done.message.id, sender=GAMMA)
    without = Roster(agents={n: at for n, at in ROSTER.agents.items() if n != GAMMA})
    store.put_roster(without, force=True, dry_run=False)
    assert (now(store, sent).state, now(store, done).state) == ("rejected", "completed")
    enrolled(store)
    assert now(store, sent).state == "rejected"


def test_a_task_is_archived_with_its_message_and_goes_with_it(opened: Opening) -> None:
    clock = FakeClock()
    bounds = SweepBounds(DAY_MS, 10 * DAY_MS, 100)
    with opened(clock=clock) as store:
        enrolled(store)
        sent = asked(store)
        store.ack_ids(BETA, [sent.message.id])
        clock.advance(2 * 86_400)
        store.sweep(bounds)
        found = now(store, sent)
        assert found.is_open
        assert found.fetched_at is not None
        answer = reply(store, sent.message.id)
        assert now(store, sent).state == "completed"
        short = store.task_thread(now(store, sent), limit=1)
        ids = [message.id for message, _ in short.messages]
        assert ids == [sent.message.id, answer.message.id], "from the archive on, with the answer"
        clock.advance(11 * 86_400)
        store.sweep(bounds)
        assert store.task(sent.message.id) is None


def test_tasks_outlive_the_process(opened: Opening) -> None:
    with opened() as store:
        enrolled(store)
        sent = asked(store)
    with opened() as store:
        reply(store, sent.message.id)
    with opened() as store:
        assert now(store, sent).state == "completed"


def test_pages_show_what_changed_last_first(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        made = []
        for _ in range(5):
            clock.advance(1)
            made.append(asked(store).message.id)
        asked(store, "gamma")
        clock.advance(1)
        reply(store, made[1])
        expected = [made[1], made[4], made[3], made[2], made[0]]
        found: list[MessageId] = []
        before = None
        while True:
            page = store.tasks(TaskSlice(ALPHA, BETA, limit=2, before=before))
            assert page.total == 5
            if not page.page:
                break
            found += [one.id for one in page.page]
            before = (page.page[-1].updated_at, int(page.page[-1].pk))
        assert found == expected
        since = clock.now_ms() - 1
        lately = store.tasks(TaskSlice(ALPHA, BETA, limit=9, since=since))
        assert [one.id for one in lately.page] == [made[1]]
        assert lately.total == 1


def test_pages_are_of_a_state_or_a_context(store: Backend) -> None:
    first, second, third = asked(store), asked(store), asked(store)
    fourth = asked(store, reply_to=first.message.id)
    store.fetch(BETA, [d.seq for d in second.deliveries])
    reply(store, third.message.id)

    def ids(**more: Any) -> set[MessageId]:
        page = store.tasks(TaskSlice(ALPHA, BETA, limit=9, **more))
        assert page.total == len(page.page)
        return {one.id for one in page.page}

    made = [one.message.id for one in (first, second, third, fourth)]
    assert ids(state="open", fetched=False) == {made[0], made[3]}
    assert ids(state="open", fetched=True) == {made[1]}
    assert ids(state="completed") == {made[2]}
    assert ids(thread=made[0]) == {made[0], made[3]}
    assert ids(thread=made[0], state="open", fetched=True) == set()
    whole = store.task_thread(now(store, first), limit=9)
    assert [message.id for message, _ in whole.messages] == [made[0], made[3]]
    assert whole.others == {made[3]}
    assert [m.id for m, _ in store.task_thread(now(store, fourth), limit=9).messages] == [made[3]]
    assert store.tasks(TaskSlice(GAMMA, BETA, limit=9)).total == 0


def named(store: Store, name: str, to: str = "beta", **more: Any) -> Sent:
    """A request in a context that its owner named."""
    step = Step("open", None, "m", name)
    return store.send(draft(to, **more), depth_limit=50, step=step)


def test_a_name_begins_a_context_and_goes_on_in_it(store: Backend) -> None:
    first, second = named(store, "ctx-oc-péer"), named(store, "ctx-oc-péer")
    assert first.message.thread_id == first.message.id
    assert (second.message.thread_id, second.message.reply_to) == (
        first.message.id,
        first.message.id,
    )
    assert [now(store, one).context_id for one in (first, second)] == ["ctx-oc-péer"] * 2
    assert asked(store).message.thread_id != first.message.id
    newest = store.newest_task(ALPHA, BETA, context="ctx-oc-péer")
    assert newest == now(store, second)
    reply(store, second.message.id)
    assert (now(store, first).state, now(store, second).state) == ("open", "completed")


def test_a_name_is_one_owners_with_one_agent(store: Backend) -> None:
    mine = named(store, "x")
    others = [named(store, "x", "gamma"), named(store, "x", sender=GAMMA), named(store, "X")]
    assert {one.message.reply_to for one in others} == {None}
    newest = store.newest_task(ALPHA, BETA, context="x")
    assert newest is not None
    assert newest.id == mine.message.id
    assert store.newest_task(BETA, ALPHA, context="x") is None
    assert store.newest_task(ALPHA, BETA, context=mine.message.thread_id) is None


def test_first_messages_of_a_name_at_once_are_in_one_thread(store: Backend) -> None:
    for n in range(5):
        asking = [gevent.spawn(named, store, f"at once {n}") for _ in range(8)]
        made = [one.get().message for one in asking]
        assert len({one.id for one in made}) == 8
        (first,) = (one for one in made if one.reply_to is None)
        assert {one.thread_id for one in made} == {first.id}


def test_a_repeated_key_is_answered_by_its_name_too(store: Backend) -> None:
    keyed: dict[str, Any] = {"idempotency_key": "k", "payload_sha256": b"1"}
    first, again = named(store, "x", **keyed), named(store, "x", **keyed)
    assert again.replayed
    assert again.message.id == first.message.id
    assert store.tasks(TaskSlice(ALPHA, BETA, limit=9)).total == 1


def test_a_name_goes_with_its_last_task(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        first = named(store, "x")
        store.ack_ids(BETA, [first.message.id])
        for days in (2, 11):
            clock.advance(days * 86_400)
            store.sweep(SweepBounds(DAY_MS, 10 * DAY_MS, 100))
        assert store.newest_task(ALPHA, BETA, context="x") is None
        again = named(store, "x").message
        assert again.thread_id == again.id


def test_of_an_answer_and_a_cancel_at_once_one_wins(opened: Opening) -> None:
    told = Told()
    with opened(listener=told) as store:
        enrolled(store)
        for _ in range(20):
            sent = asked(store)
            replying = gevent.spawn(reply, store, sent.message.id)
            canceled = gevent.spawn(_tried, store, sent.message.id).get()
            replying.get()
            assert now(store, sent).state == ("canceled" if canceled else "completed")
            assert (now(store, sent).answer_id is None) == canceled
        seqs = [d.seq for one in told.sent for d in one.deliveries]
        assert seqs == sorted(seqs), "in the order of their seqs"


def _tried(store: Store, of: MessageId) -> bool:
    try:
        cancel(store, of)
    except task.TaskEndedError:
        return False
    return True
