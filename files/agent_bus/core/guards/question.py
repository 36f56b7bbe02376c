"""Questions with choices, and their answers: ordinary messages with reserved keys in their data.

A question has `{"question": {"choices": ["yes", "no"]}}`. A reply to it that has
`{"answer": {"choice": "yes"}}` answers it, once. Any other use of these keys is the sender's own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from agent_bus.core import errors
from agent_bus.core.model import rfc3339

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from agent_bus.core.model import AgentName, MessageId, Seq

QUESTION: Final = "question"
ANSWER: Final = "answer"
LEAST_CHOICES, MOST_CHOICES = 2, 10
"""One choice asks nothing; more than ten are no row of buttons, but a form."""
CHOICE_LENGTH: Final = 80
"""Characters of a choice: a button, not a paragraph."""

State = Literal["open", "answered", "expired"]


@dataclass(frozen=True, slots=True)
class Asking:
    """What a message is to a question: it asks one."""

    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answering:
    """What a message is to a question, if the one that it replies to is one: it answers it."""

    choice: str


Part = Asking | Answering


@dataclass(frozen=True, slots=True)
class Question:
    """A question as stored; its pk and id are its message's.

    `agents` may answer. `expires_at` is steady ms, the other times are wall ms. `ended_at` is when
    its asker was told that no answer came.
    """

    pk: Seq
    id: MessageId
    asker: AgentName
    agents: tuple[AgentName, ...]
    choices: tuple[str, ...]
    asked_at: int
    expires_at: int | None
    answer_id: MessageId | None = None
    answered_by: AgentName | None = None
    choice: str | None = None
    answered_at: int | None = None
    ended_at: int | None = None

    def state(self, *, steady: int) -> State:
        """Whether it can still be answered."""
        if self.answer_id is not None:
            return "answered"
        over = self.expires_at is not None and self.expires_at <= steady
        return "expired" if over or self.ended_at is not None else "open"


def part_of(data: Mapping[str, Any], *, reply_to: str | None) -> Part | None:
    """What a message is to a question, by its data; None: nothing.

    Raises:
        errors.InvalidRequestError: a question whose choices make no sense.
    """
    asked = data.get(QUESTION)
    if isinstance(asked, dict) and "choices" in asked:
        return Asking(_choices(asked))
    answer = data.get(ANSWER)
    if reply_to is not None and isinstance(answer, dict) and isinstance(answer.get("choice"), str):
        return Answering(answer["choice"])
    return None


def accept(
    question: Question,
    *,
    sender: str,
    recipients: Container[str],
    choice: str,
    steady: int,
) -> None:
    """Let an answer pass.

    Raises:
        errors.AlreadyAnsweredError: somebody was quicker.
        errors.QuestionExpiredError: its time is over.
        errors.ForbiddenError: the sender was not asked.
        errors.UnknownChoiceError: it is none of the choices.
        errors.InvalidRequestError: it does not go to who asked.
    """
    if sender not in question.agents:
        raise errors.ForbiddenError(
            f"Only {', '.join(question.agents)} may answer {question.id}; reply without"
            f" `data.{ANSWER}` to say something about it.",
            field=f"data.{ANSWER}",
        )
    if question.answer_id is not None:
        raise errors.AlreadyAnsweredError(
            question.answer_id,
            agent=question.answered_by or "",
            choice=question.choice or "",
            at=rfc3339(question.answered_at),
        )
    if question.state(steady=steady) == "expired":
        raise errors.QuestionExpiredError(question.id, asker=question.asker)
    if choice not in question.choices:
        raise errors.UnknownChoiceError(choice, question.choices)
    if question.asker not in recipients:
        raise errors.InvalidRequestError(
            f"to: {question.asker} asked, and gets the answer: leave `to` out, or name"
            f" {question.asker} there.",
            field="to",
        )


def _choices(asked: Mapping[str, Any]) -> tuple[str, ...]:
    """The choices of a question.

    Raises:
        errors.InvalidRequestError: says what is wrong with them.
    """
    field = f"data.{QUESTION}.choices"
    given = asked["choices"]
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise errors.InvalidRequestError(f"{field}: must be a list of texts.", field=field)
    if not LEAST_CHOICES <= len(given) <= MOST_CHOICES:
        raise errors.InvalidRequestError(
            f"{field}: {LEAST_CHOICES} to {MOST_CHOICES} choices are possible, not {len(given)}.",
            field=field,
        )
    for one in given:
        if not (0 < len(one) <= CHOICE_LENGTH and one.isprintable() and one == one.strip()):
            raise errors.InvalidRequestError(
                f"{field}: {one[:CHOICE_LENGTH]!r} must be one line of 1 to {CHOICE_LENGTH}"
                " printable characters, without space at its ends.",
                field=field,
            )
    twice = [one for one, count in Counter(map(str.casefold, given)).items() if count > 1]
    if twice:
        raise errors.InvalidRequestError(f"{field}: {twice[0]!r} stands there twice.", field=field)
    unknown = sorted(asked.keys() - {"choices"})
    if unknown:
        raise errors.InvalidRequestError(
            f"data.{QUESTION}: {unknown[0]!r} is unknown; only `choices` can be said.",
            field=f"data.{QUESTION}",
        )
    return tuple(given)
