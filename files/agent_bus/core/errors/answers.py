"""Why an answer to a question is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.core.errors.base import BusError

if TYPE_CHECKING:
    from collections.abc import Iterable


class AlreadyAnsweredError(BusError):
    """A question has its answer: it takes one.

    Args:
        at: when, as people read it.
    """

    code = "already_answered"
    status = 409
    title = "The question was answered"

    def __init__(self, answer_id: str, *, agent: str, choice: str, at: str | None) -> None:
        super().__init__(
            f"{agent} answered {choice!r} at {at}; a question takes one answer. To say more, reply"
            " without `data.answer`.",
            field="data.answer",
            extra={"answer_id": answer_id, "agent": agent, "choice": choice, "answered_at": at},
        )


class QuestionExpiredError(BusError):
    """The time for an answer is over."""

    code = "question_expired"
    status = 409
    title = "The question has expired"

    def __init__(self, question_id: str, *, asker: str) -> None:
        super().__init__(
            f"{question_id} has expired, and {asker} goes on without an answer. Write to {asker}"
            " if it still matters.",
            field="data.answer",
        )


class UnknownChoiceError(BusError):
    """An answer is none of its question's choices."""

    code = "unknown_choice"
    status = 422
    title = "No such choice"

    def __init__(self, choice: str, choices: Iterable[str]) -> None:
        known = list(choices)
        super().__init__(
            f"{choice[:80]!r} is none of the choices: {', '.join(known)}.",
            field="data.answer.choice",
            extra={"choices": known},
        )
