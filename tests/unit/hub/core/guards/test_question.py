"""What makes a message a question or an answer, and which answer counts."""

from __future__ import annotations

from typing import Any

import pytest

from agent_bus.core import errors
from agent_bus.core.guards.question import Answering, Asking, Question, accept, part_of
from agent_bus.core.model import AgentName, MessageId, Seq

ALPHA, OPERATOR = AgentName("alpha"), AgentName("operator")


def asked(**more: Any) -> Question:
    fields: dict[str, Any] = {
        "pk": Seq(7),
        "id": MessageId("Q"),
        "asker": ALPHA,
        "agents": (OPERATOR,),
        "choices": ("yes", "no"),
        "asked_at": 1000,
        "expires_at": None,
    }
    return Question(**{**fields, **more})


def test_a_question_has_choices() -> None:
    data = {"question": {"choices": ["yes", "no"]}, "build": 7}
    assert part_of(data, reply_to=None) == Asking(("yes", "no"))
    assert part_of(data, reply_to="M") == Asking(("yes", "no"))


def test_an_answer_is_a_reply() -> None:
    data = {"answer": {"choice": "yes"}}
    assert part_of(data, reply_to="M") == Answering("yes")
    assert part_of(data, reply_to=None) is None


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"question": "who?"},
        {"question": {"text": "who?"}},
        {"answer": 42},
        {"answer": {"choice": 1}},
        {"answer": {"text": "x"}},
    ],
)
def test_other_data_under_these_names_is_the_sender_s_own(data: dict[str, Any]) -> None:
    assert part_of(data, reply_to="M") is None


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ("yes", "list of texts"),
        ([1, 2], "list of texts"),
        (["yes"], "2 to 10"),
        ([str(n) for n in range(11)], "2 to 10"),
        (["yes", ""], "1 to 80"),
        (["yes", "x" * 81], "1 to 80"),
        (["yes", "a\nb"], "one line"),
        (["yes", "\u202eno"], "printable"),
        (["yes", " no"], "space at its ends"),
        (["yes", "YES"], "twice"),
    ],
)
def test_choices_that_make_no_sense_are_refused(choices: object, words: str) -> None:
    with pytest.raises(errors.InvalidRequestError) as refused:
        part_of({"question": {"choices": choices}}, reply_to=None)
    assert words in refused.value.detail
    assert refused.value.field == "data.question.choices"


def test_what_a_question_cannot_say_is_refused() -> None:
    with pytest.raises(errors.InvalidRequestError, match="'wait' is unknown"):
        part_of({"question": {"choices": ["a", "b"], "wait": 1}}, reply_to=None)


def test_one_of_those_who_were_asked_answers_with_one_of_the_choices() -> None:
    accept(asked(), sender="operator", recipients=(ALPHA,), choice="no", steady=0)
    with pytest.raises(errors.ForbiddenError, match="Only operator may answer"):
        accept(asked(), sender="beta", recipients=(ALPHA,), choice="no", steady=0)
    with pytest.raises(errors.UnknownChoiceError, match="yes, no") as refused:
        accept(asked(), sender="operator", recipients=(ALPHA,), choice="maybe", steady=0)
    assert refused.value.extra == {"choices": ["yes", "no"]}


def test_a_second_answer_is_told_the_first() -> None:
    answered = asked(
        answer_id=MessageId("A"), answered_by=OPERATOR, choice="yes", answered_at=1_000
    )
    with pytest.raises(errors.AlreadyAnsweredError) as refused:
        accept(answered, sender="operator", recipients=(ALPHA,), choice="yes", steady=0)
    assert "operator answered 'yes' at 1970-01-01T00:00:01.000Z" in refused.value.detail
    assert refused.value.extra["answer_id"] == "A"


def test_an_answer_that_is_late_is_refused() -> None:
    accept(asked(expires_at=50), sender="operator", recipients=(ALPHA,), choice="yes", steady=49)
    with pytest.raises(errors.QuestionExpiredError, match="alpha goes on"):
        accept(
            asked(expires_at=50), sender="operator", recipients=(ALPHA,), choice="yes", steady=50
        )
    with pytest.raises(errors.QuestionExpiredError):
        accept(asked(ended_at=50), sender="operator", recipients=(ALPHA,), choice="yes", steady=0)


def test_a_question_is_open_answered_or_expired() -> None:
    assert asked(expires_at=5).state(steady=4) == "open"
    assert asked(expires_at=5).state(steady=5) == "expired"
    assert asked(expires_at=5, answer_id=MessageId("A")).state(steady=9) == "answered"
