"""Questions that wait for people: links that answer them, and word of those nobody answered.

A link has a secret of 256 random bits; the hub keeps only its digest, so a copy of the database
answers nothing. Runs in the loop; what reads or writes the store blocks the calling greenlet.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from typing import TYPE_CHECKING, Final

from agent_bus.core import errors
from agent_bus.core.clock import DAY_MS
from agent_bus.core.guards.question import QUESTION, Answering
from agent_bus.core.model import OPERATOR, Draft
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.bus.directory import Directory
    from agent_bus.bus.guards.notices import Notices
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.question import Part, Question
    from agent_bus.core.model import Message, MessageId, Sent
    from agent_bus.store.pending import Pending

logger = logging.getLogger(__name__)

PATH: Final = "/answer/"
LINK_DAYS: Final = 7
"""A link that waits in a mailbox or a phone for longer than a week is more likely found by
somebody else than used by its owner. The question itself stays open, on the page."""
LOOK_S: Final = 5.0
"""How late word of an expiry may be: it costs one look into an index."""


class Questions:
    """Makes and redeems links, and tells askers that no answer came.

    Args:
        pending: where questions and links are kept.
        send: sends as any other message is sent, and waits for the commit.
        url: the page's address for people, without a path.
        leads: whether this hub is the one of several that tells; two at once do no harm.
    """

    def __init__(
        self,
        *,
        pending: Pending,
        send: Callable[[Draft, Part], Sent],
        notices: Notices,
        directory: Directory,
        clock: Clock,
        url: str,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._pending = pending
        self._send = send
        self._notices = notices
        self._directory = directory
        self._clock = clock
        self._url = url.rstrip("/")
        self._leads = leads

    def start(self) -> None:
        """Begin to look for questions that have expired; returns at once."""
        greenlets.spawn(self._look_forever)

    def question(self, message_id: MessageId) -> Question | None:
        """The question that a message asks."""
        return self._pending.question(message_id)

    def open(self, *, limit: int) -> list[Question]:
        """Questions that the operator can answer, newest first."""
        found = self._pending.open_questions(limit=limit)
        return [one for one in found if OPERATOR in one.agents]

    def is_open(self, question: Question) -> bool:
        """Whether it can still be answered."""
        return question.state(steady=self._clock.steady_ms()) == "open"

    def link_for(self, message: Message) -> str | None:
        """A new link by which whoever has it answers a question in the operator's name.

        None for what is no question to the operator, or can no longer be answered. Blocks the
        greenlet until the link is durable; every call makes another link.
        """
        if message.data_json is None or QUESTION not in message.data_json:
            return None
        question = self._pending.question(message.id)
        if question is None or OPERATOR not in question.agents or not self.is_open(question):
            return None
        secret = secrets.token_urlsafe(32)
        end = self._clock.steady_ms() + LINK_DAYS * DAY_MS
        expires_at = end if question.expires_at is None else min(end, question.expires_at)
        try:
            self._pending.keep_link(_digest(secret), question, expires_at=expires_at)
        except errors.BusError as error:  # such as a full disk; word of the question goes out
            logger.warning("A link to %s could not be kept: %s", question.id, error.detail)
            return None
        return f"{self._url}{PATH}{secret}"

    def behind(self, secret: str) -> tuple[Question, bool] | None:
        """The question of a link, and whether the link's own time is over; None: no such link."""
        found = self._pending.question_of_link(_digest(secret))
        if found is None:
            return None
        question, expires_at = found
        return question, expires_at <= self._clock.steady_ms()

    def answer(self, question: Question, choice: str) -> Sent:
        """Answer in the operator's name: an ordinary reply to the asker.

        Raises:
            errors.BusError: see `question.accept`, and whatever a send raises.
        """
        data = json.dumps({"answer": {"choice": choice}}, ensure_ascii=False)
        draft = Draft(
            OPERATOR, (question.asker,), choice, data_json=data, reply_to=question.id, rank=1
        )
        return self._send(draft, Answering(choice))

    def tell_ended(self) -> int:
        """Tell the askers of questions that have expired; answers how many there were."""
        found = self._pending.overdue_questions()
        for question in found:
            self._tell(question)
        return len(found)

    def _tell(self, question: Question) -> None:
        asker = question.asker
        if asker != OPERATOR and asker not in self._directory.roster.agents:
            self._pending.end_question(question)  # retired: nobody is left who could be told
            return
        asked = ", ".join(question.agents)
        self._notices.send(
            [asker],
            subject="No answer",
            body=f"Your question {question.id} to {asked} has expired without an answer. Decide"
            f" without it, or ask again. Its choices were: {', '.join(question.choices)}.",
            key=f"no-answer:{question.id}",
            data={"no_answer": {"question_id": question.id}},
            then=lambda _: greenlets.spawn(self._end, question),
        )

    def _end(self, question: Question) -> None:
        """Note that it was told; if that fails, the next round finds that it was told before."""
        try:
            self._pending.end_question(question)
        except errors.BusError as error:
            logger.warning("The end of %s was not noted: %s", question.id, error.detail)

    def _look_forever(self) -> None:
        trouble = ""
        while True:
            greenlets.sleep(LOOK_S)
            try:
                if self._leads():
                    self.tell_ended()
                trouble = ""
            except errors.BusError as error:
                if error.detail != trouble:  # once per outage, however long it is
                    trouble = error.detail
                    logger.warning("Expired questions are not looked for: %s", trouble)
            except Exception:
                logger.exception("Expired questions could not be looked for")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
