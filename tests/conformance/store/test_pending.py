"""What every store keeps of questions and of the escalation ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.core import errors
from agent_bus.core.guards.question import Answering, Asking
from agent_bus.core.model import BUS, OPERATOR, AgentName, MessageId, Seq
from agent_bus.core.slices import SweepBounds
from agent_bus.runtime import greenlets
from agent_bus.store.pending import LINKS_KEPT
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import ALPHA, BETA, GAMMA, Told, draft, enrolled, inbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agent_bus.core.guards.question import Question
    from agent_bus.core.model import Message
    from agent_bus.store.contract import Backend
    from agent_bus.store.pending import Climber

    Opening = Callable[..., AbstractContextManager[Backend]]

YES_NO = Asking(("yes", "no"))


def ask(store: Backend, to: str = "operator", **more: Any) -> Question:
    sent = store.send(draft(to, **more), depth_limit=5, step=YES_NO)
    found = store.pending.question(sent.message.id)
    assert found is not None
    return found


def answer(store: Backend, of: Question, choice: str = "yes", **more: Any) -> Message:
    given: dict[str, Any] = {"sender": OPERATOR, "recipients": (of.asker,), **more}
    reply = draft(reply_to=of.id, body=choice, **given)
    return store.send(reply, depth_limit=5, step=Answering(choice)).message


def test_a_question_is_kept_with_its_message(store: Backend) -> None:
    told = ask(store, recipients=(BETA, OPERATOR))
    assert (told.asker, told.agents, told.choices) == (ALPHA, (BETA, OPERATOR), ("yes", "no"))
    assert told.expires_at is None
    assert [one.id for one in store.pending.open_questions(limit=5)] == [told.id]
    assert inbox(store, "beta") == ["hello"]
    assert store.pending.question(MessageId("0" * 26)) is None


def test_an_answer_ends_its_question(store: Backend) -> None:
    asked = ask(store)
    reply = answer(store, asked, "no")
    found = store.pending.question(asked.id)
    assert found is not None
    assert (found.answer_id, found.answered_by, found.choice) == (reply.id, OPERATOR, "no")
    assert found.answered_at == reply.created_at
    assert store.pending.open_questions(limit=5) == []
    assert inbox(store, "alpha") == ["no"]


def test_a_second_answer_leaves_nothing(store: Backend) -> None:
    asked = ask(store, recipients=(BETA, OPERATOR))
    first = answer(store, asked)
    for sender in (OPERATOR, BETA):
        with pytest.raises(errors.AlreadyAnsweredError) as refused:
            answer(store, asked, "no", sender=sender)
        assert refused.value.extra["answer_id"] == first.id
    assert inbox(store, "alpha") == ["yes"]


def test_of_answers_at_the_same_moment_one_counts(store: Backend) -> None:
    asked = ask(store, recipients=(BETA, OPERATOR))
    found: list[object] = []
    for sender, choice in ((OPERATOR, "yes"), (BETA, "no"), (OPERATOR, "no")):
        reply = draft("alpha", sender=sender, reply_to=asked.id, body=choice)
        store.begin_send(reply, depth_limit=5, step=Answering(choice), done=found.append)
    while len(found) < 3:
        greenlets.sleep(0.005)
    refused = [one for one in found if isinstance(one, errors.AlreadyAnsweredError)]
    assert len(refused) == 2
    assert len(inbox(store, "alpha")) == 1


def test_a_repeated_answer_under_its_key_is_the_first_one(store: Backend) -> None:
    asked = ask(store)
    keyed: dict[str, Any] = {"idempotency_key": "k", "payload_sha256": b"1"}
    assert answer(store, asked, **keyed).id == answer(store, asked, **keyed).id


@pytest.mark.parametrize(
    ("sender", "choice", "error"),
    [(BETA, "yes", errors.ForbiddenError), (OPERATOR, "maybe", errors.UnknownChoiceError)],
)
def test_a_wrong_answer_leaves_the_question_open(
    store: Backend, sender: AgentName, choice: str, error: type[errors.BusError]
) -> None:
    asked = ask(store, recipients=(OPERATOR,))
    see = draft("beta", sender=OPERATOR, reply_to=asked.id)
    store.send(see, depth_limit=5)
    with pytest.raises((error, errors.UnknownMessageError)):
        answer(store, asked, choice, sender=sender)
    assert store.pending.question(asked.id) == asked


def test_what_looks_like_an_answer_but_answers_no_question_is_a_reply(store: Backend) -> None:
    plain = store.send(draft(), depth_limit=5).message
    reply = draft("alpha", sender=BETA, reply_to=plain.id, body="42")
    store.send(reply, depth_limit=5, step=Answering("42"))
    assert inbox(store, "alpha") == ["42"]


def test_a_question_that_expires_is_overdue_until_its_end_was_told(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        ask(store)
        late = ask(store, expires_in_s=60)
        store.ack_ids(OPERATOR, [late.id])  # read, and not answered
        clock.advance(59)
        assert store.pending.overdue_questions() == []
        clock.advance(1)
        assert [one.id for one in store.pending.overdue_questions()] == [late.id]
        with pytest.raises(errors.QuestionExpiredError):
            answer(store, late)
        assert len(store.pending.open_questions(limit=5)) == 1
        store.pending.end_question(late)
        assert store.pending.overdue_questions() == []


def test_a_link_leads_to_its_question_and_the_oldest_make_room(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        asked = ask(store)
        for number in range(LINKS_KEPT + 1):
            at = clock.steady_ms() + number
            store.pending.keep_link(f"{number:064}", asked, expires_at=at)
        assert store.pending.question_of_link("0" * 64) is None
        assert store.pending.question_of_link(f"{1:064}") == (asked, clock.steady_ms() + 1)
        answer(store, asked)
        found = store.pending.question_of_link(f"{1:064}")
        assert found is not None
        assert found[0].choice == "yes"


def urgent(store: Backend, *agents: AgentName) -> list[Climber]:
    return store.pending.urgent_unread(agents or (ALPHA, BETA, GAMMA))


def test_only_urgent_unread_mail_climbs(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        store.send(draft(rank=2), depth_limit=5)
        store.send(draft(sender=BUS, rank=0), depth_limit=5)
        read = store.send(draft(rank=0), depth_limit=5).message
        store.ack_ids(BETA, [read.id])
        store.send(draft(rank=0, expires_in_s=5), depth_limit=5)
        one = store.send(
            draft(rank=0, recipients=(BETA, GAMMA), data_json='{"escalate":{"to":"gamma"}}'),
            depth_limit=5,
        )
        store.send(draft(rank=0, data_json='{"k":1}'), depth_limit=5)
        clock.advance(6)
        found = urgent(store)
        assert [(c.agent, c.seq) for c in found] == [
            (BETA, one.deliveries[0].seq),
            (BETA, one.deliveries[1].seq + 1),
            (GAMMA, one.deliveries[1].seq),
        ]
        assert (found[0].message_id, found[0].sender, found[0].since, found[0].taken) == (
            one.message.id, ALPHA, None, (),
        )  # fmt: skip
        assert [c.data_json for c in found] == [one.message.data_json, None, one.message.data_json]


def test_waiting_is_counted_from_when_it_was_first_seen(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        store.send(draft(rank=0), depth_limit=5)
        clock.jump(DAY_S)  # the wall clock says nothing about it
        store.pending.begin(urgent(store))
        first = clock.steady_ms()
        clock.advance(60)
        store.pending.begin(urgent(store))
        assert [c.since for c in urgent(store)] == [first]


def test_a_step_is_taken_once_and_not_for_what_was_read(store: Backend) -> None:
    read, one, two = (store.send(draft(rank=0), depth_limit=5) for _ in range(3))
    climbers = urgent(store)
    store.ack_ids(BETA, [read.message.id])
    seqs = [one.deliveries[0].seq, two.deliveries[0].seq]
    assert store.pending.claim("k1", "@greeks", climbers) == seqs
    assert store.pending.claim("k2", "@greeks", climbers) == []
    assert store.pending.claim("k3", "operator", climbers[1:2]) == seqs[:1]
    assert [c.taken for c in urgent(store)] == [("@greeks", "operator"), ("@greeks",)]


def test_a_notice_that_may_not_have_been_sent_is_found_again(opened: Opening) -> None:
    with opened() as store:
        enrolled(store)
        one, two = (store.send(draft(rank=0), depth_limit=5) for _ in range(2))
        climbers = urgent(store)
        store.pending.claim("k1", "gamma", climbers)
        store.pending.claim("k2", "operator", climbers[:1])
        store.pending.settle("k2", None)
    with opened() as store:
        (claim,) = store.pending.unsettled()
        assert (claim.key, claim.target) == ("k1", "gamma")
        assert [d.message.id for d in store.pending.deliveries(claim.seqs)] == [
            one.message.id, two.message.id,
        ]  # fmt: skip
        store.pending.settle("k1", MessageId("N"))
        assert store.pending.unsettled() == []
        steps = store.pending.steps(one.message.first_seq)
        assert {(s.target, s.notice_id) for s in steps} == {("gamma", "N"), ("operator", None)}


def test_questions_and_ladders_go_with_their_messages(opened: Opening) -> None:
    clock = FakeClock()
    day_ms = int(DAY_S * 1000)
    bounds = SweepBounds(retain_read_ms=7 * day_ms, retain_archive_ms=365 * day_ms, limit=100)
    with opened(clock=clock, listener=Told()) as store:
        enrolled(store)
        asked = ask(store, rank=0)
        store.pending.keep_link("1" * 64, asked, expires_at=clock.steady_ms() + 1)
        climbers = urgent(store, OPERATOR)
        store.pending.begin(climbers)
        store.pending.claim("k", "gamma", climbers)
        store.ack_ids(OPERATOR, [asked.id])
        clock.advance(8 * DAY_S)
        store.sweep(bounds)
        assert store.pending.question(asked.id) == asked
        assert [d.seq for d in store.pending.deliveries([Seq(asked.pk)])] == [asked.pk]
        clock.advance(366 * DAY_S)
        store.sweep(bounds)
        assert store.pending.question(asked.id) is None
        assert store.pending.question_of_link("1" * 64) is None
        assert store.pending.steps(asked.pk) == []
