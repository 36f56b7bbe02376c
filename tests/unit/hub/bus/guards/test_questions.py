"""Links that answer questions, and word of those nobody answered, over a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.bus.guards.questions import LINK_DAYS, Questions
from agent_bus.core import errors
from agent_bus.core.guards.question import Answering, Asking
from agent_bus.core.model import BUS, OPERATOR
from agent_bus.core.slices import InboxSlice
from agent_bus.store.pending import LINKS_KEPT
from tests.support.bus import bus_in
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import ALPHA, BETA, ROSTER, draft, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core
    from agent_bus.core.model import Message

URL = "https://bus.example.org"
ASKS = '{"question":{"choices":["yes","no"]}}'


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def core(tmp_path: Path, clock: FakeClock) -> Iterator[Core]:
    with bus_in(tmp_path, clock=clock, page_url=URL) as one:
        yield one


@pytest.fixture
def questions(core: Core) -> Questions:
    return core.questions


def ask(core: Core, to: str = "operator", **more: Any) -> Message:
    return core.bus.send(draft(to, data_json=ASKS, **more), step=Asking(("yes", "no"))).message


def secret_of(link: str | None) -> str:
    assert link is not None
    assert link.startswith(f"{URL}/answer/")
    return link.removeprefix(f"{URL}/answer/")


def told(core: Core) -> list[tuple[str, str | None]]:
    page = core.store.inbox(InboxSlice(ALPHA, limit=10))
    return [(d.message.sender, d.message.subject) for d in page]


def test_a_link_answers_its_question_once(core: Core, questions: Questions) -> None:
    message = ask(core)
    first, second = (secret_of(questions.link_for(message)) for _ in "12")
    assert first != second
    found = questions.behind(first)
    assert found is not None
    question, is_over = found
    assert (question.id, is_over) == (message.id, False)
    sent = questions.answer(question, "yes")
    assert (sent.message.sender, sent.message.reply_to) == (OPERATOR, message.id)
    with pytest.raises(errors.AlreadyAnsweredError):
        questions.answer(question, "no")
    again = questions.behind(second)
    assert again is not None
    assert again[0].choice == "yes"
    assert questions.link_for(message) is None


def test_only_questions_to_the_operator_have_links(core: Core, questions: Questions) -> None:
    assert questions.link_for(core.bus.send(draft("operator")).message) is None
    other = core.bus.send(draft("operator", data_json='{"question":"who?"}')).message
    assert questions.link_for(other) is None
    assert questions.link_for(ask(core, "beta")) is None
    assert questions.link_for(ask(core, recipients=(BETA, OPERATOR))) is not None


def test_what_an_earlier_hub_stored_under_the_reserved_key_is_no_question(
    core: Core, questions: Questions
) -> None:
    odd = core.bus.send(draft("operator", data_json='{"question":{"choices":["only one"]}}'))
    assert questions.link_for(odd.message) is None


def test_an_answer_has_to_reach_who_asked(core: Core) -> None:
    asked = ask(core, "beta")
    aside = draft("gamma", sender=BETA, body="yes", reply_to=asked.id)
    with pytest.raises(errors.InvalidRequestError, match="alpha asked, and gets the answer"):
        core.bus.send(aside, step=Answering("yes"))
    core.bus.send(draft("alpha", sender=BETA, reply_to=asked.id), step=Answering("yes"))
    assert [sender for sender, _ in told(core)] == [BETA]


def test_the_newest_links_are_kept_whatever_their_end(
    core: Core, questions: Questions, clock: FakeClock
) -> None:
    message = ask(core, expires_in_s=60)
    made = []
    for _ in range(LINKS_KEPT + 5):
        made.append(secret_of(questions.link_for(message)))
        clock.advance(0.001)
    assert [questions.behind(one) is None for one in made] == [True] * 5 + [False] * LINKS_KEPT


def test_a_secret_that_was_never_given_leads_nowhere(questions: Questions) -> None:
    assert questions.behind("guessed") is None


def test_a_link_ends_after_a_week_and_with_its_question(
    core: Core, questions: Questions, clock: FakeClock
) -> None:
    lasting, short = ask(core), ask(core, expires_in_s=60)
    secrets = [secret_of(questions.link_for(one)) for one in (lasting, short)]
    clock.advance(60)
    assert [found and found[1] for found in map(questions.behind, secrets)] == [False, True]
    clock.advance(LINK_DAYS * DAY_S - 60)
    assert [found and found[1] for found in map(questions.behind, secrets)] == [True, True]
    assert questions.link_for(lasting) is not None
    assert questions.link_for(short) is None


def test_an_asker_is_told_once_that_no_answer_came(
    core: Core, questions: Questions, clock: FakeClock
) -> None:
    late = ask(core, expires_in_s=60)
    answered = ask(core, expires_in_s=60)
    ask(core)
    core.store.ack_ids(OPERATOR, [late.id])
    found = core.pending.question(answered.id)
    assert found is not None
    questions.answer(found, "no")
    clock.advance(59)
    assert questions.tell_ended() == 0
    clock.advance(1)
    assert questions.tell_ended() == 1
    until(lambda: not core.pending.overdue_questions(), "the end is noted")
    assert questions.tell_ended() == 0
    assert (BUS, "No answer") in told(core)
    assert len(told(core)) == 2


def test_nobody_is_told_of_the_question_of_a_retired_agent(
    core: Core, questions: Questions, clock: FakeClock
) -> None:
    ask(core, expires_in_s=60)
    others = {name: node for name, node in ROSTER.agents.items() if name != ALPHA}
    core.store.put_roster(type(ROSTER)(agents=others), force=True, dry_run=False)
    clock.advance(60)
    assert questions.tell_ended() == 1
    assert questions.tell_ended() == 0
    assert told(core) == []


def test_open_questions_are_those_that_the_operator_can_answer(
    core: Core, questions: Questions, clock: FakeClock
) -> None:
    first, _, third = ask(core), ask(core, "beta"), ask(core, expires_in_s=60)
    assert [one.id for one in questions.open(limit=9)] == [third.id, first.id]
    clock.advance(60)
    assert [one.id for one in questions.open(limit=9)] == [first.id]
