"""Answers of people: on the page, and by a one-time link from a notification without a sign-in.

A link's GET shows the question and changes nothing, because programs look at links in advance; its
POST answers. The secret in the address is the proof, so the page loads nothing from elsewhere, is
kept nowhere, and tells no other site where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import errors, wire
from agent_bus.core.model import OPERATOR, MessageId, rfc3339
from agent_bus.dashboard.html import HEADERS, redirect
from agent_bus.dashboard.page_requests import AnswerAction, AnswerForm, QuestionQuery
from agent_bus.http.call import Answer
from agent_bus.http.endpoint import bare, with_body, with_form, with_query
from agent_bus.http.route import Action, Route
from agent_bus.http.session import SESSION_HEADERS, refuse_other_sites

if TYPE_CHECKING:
    from collections import Counter

    from agent_bus.bus.auth import Authenticator
    from agent_bus.bus.guards.questions import Questions
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.question import Question
    from agent_bus.dashboard.html import Pages
    from agent_bus.http.audit import Audit
    from agent_bus.http.call import AnyCall, Call
    from agent_bus.http.endpoint import Endpoint
    from agent_bus.store.contract import Store

ANSWER: Final = Action("answer", keeps=("id",))
LINK_HEADERS: Final = {
    **HEADERS,
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
UNKNOWN: Final = (
    "This link leads to no question: it is not complete, or older than the question's archive."
    " Open the newest notification, or sign in and look at the messages."
)
OVER: Final = (
    "This link has ended, as every link does after a week. The question is still open: sign in and"
    " answer it there."
)
THROTTLED: Final = (
    "Too many links that lead nowhere were opened from this address. Wait {:.0f} s, and open the"
    " newest notification."
)
EXPIRED: Final = (
    "The time for an answer is over; {asker} goes on without one. Nothing was changed."
)


class Answers:
    """The endpoints, with what they need.

    Args:
        auth: counts wrong links as wrong tokens, per address.
        refusals: counts problems by code.
    """

    def __init__(
        self,
        *,
        questions: Questions,
        store: Store,
        auth: Authenticator,
        audit: Audit,
        pages: Pages,
        clock: Clock,
        refusals: Counter[str],
    ) -> None:
        self._questions = questions
        self._store = store
        self._auth = auth
        self._audit = audit
        self._pages = pages
        self._clock = clock
        self._refusals = refusals

    def routes(self) -> list[Route]:
        """The link's paths, which are open, and those of the page."""
        return [
            _open("GET", bare(self.show)),
            _open("POST", with_form(AnswerForm, self.redeem)),
            Route(
                "GET",
                "/ui/question",
                with_query(QuestionQuery, self.state),
                access="session",
                headers=SESSION_HEADERS,
                at_root=True,
            ),
            Route(
                "POST",
                "/ui/answer",
                with_body(AnswerAction, self.answer),
                access="session_write",
                headers=SESSION_HEADERS,
                action=ANSWER,
                at_root=True,
            ),
        ]

    def state(self, call: Call[QuestionQuery]) -> Answer:
        """How a question is, for its page."""
        question = self._of(call.query.id)
        return Answer(200, wire.question(question, steady=self._clock.steady_ms()))

    def answer(self, call: Call[None, AnswerAction]) -> Answer:
        """Answer as the operator who is signed in."""
        question = self._of(call.body.id)
        sent = self._questions.answer(question, call.body.choice)
        return Answer(200, {"id": sent.message.id, "asker": question.asker})

    def show(self, call: Call) -> Answer:
        """The question of a link, with a button per choice."""
        try:
            question, is_over = self._behind(call)
        except errors.BusError as error:
            return self._refused(error)
        state = question.state(steady=self._clock.steady_ms())
        if state == "expired":
            return self._page(410, question, words=EXPIRED.format(asker=question.asker))
        if state == "open" and is_over:
            return self._page(410, question, words=OVER)
        return self._page(200, question, can_answer=state == "open")

    def redeem(self, call: Call[None, AnswerForm]) -> Answer:
        """Answer in the operator's name; the page that follows says what counts."""
        try:
            refuse_other_sites(call)
            question, is_over = self._behind(call)
            if is_over and self._questions.is_open(question):
                return self._page(410, question, words=OVER)
            self._questions.answer(question, call.body.choice)
        except errors.AlreadyAnsweredError as error:
            self._refusals[error.code] += 1
            return self._page(409, self._of(question.id), words=error.detail)
        except errors.BusError as error:
            return self._refused(error)
        detail = {"id": question.id, "choice": call.body.choice}
        self._audit.log(call, "link", ANSWER.name, detail=detail)
        return redirect(f"/answer/{call.path['secret']}", Referrer_Policy="no-referrer")

    def _behind(self, call: AnyCall) -> tuple[Question, bool]:
        """A link's question, and whether the link's own time is over.

        Raises:
            errors.UnauthenticatedError: there is no such link.
            errors.AuthThrottledError: and too many such attempts came from that address.
        """
        found = self._questions.behind(call.path["secret"])
        if found is None:
            self._auth.note_failure(call.address)
            raise errors.UnauthenticatedError(UNKNOWN)
        return found

    def _of(self, message_id: str) -> Question:
        question = self._questions.question(MessageId(message_id))
        if question is None or OPERATOR not in question.agents:
            raise errors.UnknownMessageError(message_id)
        return question

    def _refused(self, error: errors.BusError) -> Answer:
        self._refusals[error.code] += 1
        if isinstance(error, errors.AuthThrottledError):
            return self._page(429, None, words=THROTTLED.format(error.retry_after_s or 0))
        status = 404 if isinstance(error, errors.UnauthenticatedError) else error.status
        return self._page(status, None, words=error.detail)

    def _page(
        self, status: int, question: Question | None, *, words: str = "", can_answer: bool = False
    ) -> Answer:
        context: dict[str, Any] = {"question": question, "message": None}
        if question is not None and can_answer:  # else its text is not needed any more
            found = self._store.message(question.id)
            context["message"] = None if found is None else found[0]
        shown = self._pages.page(
            "answer",
            status=status,
            words=words,
            can_answer=can_answer,
            rfc3339=rfc3339,
            **context,
        )
        return Answer(status, headers=LINK_HEADERS, raw=shown.raw)


def _open(method: str, endpoint: Endpoint) -> Route:
    return Route(
        method, "/answer/<secret>", endpoint, access="open", headers=SESSION_HEADERS, at_root=True
    )
