"""What is shown of a task: the turns between owner and agent, and the answer.

Being shown an answer is reading it: a client of A2A has no other way to say that it has.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from agent_bus.a2a import replies
from agent_bus.a2a.replies import View
from agent_bus.core import errors
from agent_bus.http.speaker import may_be
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from agent_bus.bus.auth import Authenticator
    from agent_bus.bus.bus import Bus
    from agent_bus.core.model import Delivery, Message
    from agent_bus.core.task import Task
    from agent_bus.http.call import AnyCall
    from agent_bus.store.contract import Store

logger = logging.getLogger(__name__)

TURNS: Final = 200
"""Messages of a thread that are looked through for a task's history, live and archived each."""


class Views:
    """Shows tasks."""

    def __init__(self, *, bus: Bus, store: Store, auth: Authenticator) -> None:
        self._bus = bus
        self._store = store
        self._auth = auth

    def shown(
        self, call: AnyCall, of: Task, *, history_length: int | None, with_answer: bool = True
    ) -> dict[str, Any]:
        """A task as it is answered; what its owner is shown by that counts as read."""
        turns = self._turns(of)
        answer = next((message for message, _ in turns if message.id == of.answer_id), None)
        view = View(of, [message for message, _ in turns], answer)
        shown = replies.task(view, history_length=history_length, with_answer=with_answer)
        if may_be(of.owner, call, self._auth) and not greenlets.has_hung_up(call.socket):
            ids = {answer.id} if answer is not None and with_answer else set()
            if history_length is None:
                ids |= {message.id for message, _ in turns}
            elif history_length:
                ids |= {message.id for message, _ in turns[-history_length:]}
            self._mark_read(of, [d for m, each in turns if m.id in ids for d in each])
        return shown

    def _mark_read(self, of: Task, deliveries: list[Delivery]) -> None:
        """Mark as fetched and read what the owner has just been shown, and had not read."""
        new = [d for d in deliveries if d.agent == of.owner and d.read_at is None]
        if not new:
            return
        try:
            self._bus.fetch(of.owner, new)
            self._bus.ack(of.owner, ids=[d.message.id for d in new], up_to=None)
        except errors.BusError as error:
            logger.info("An answer was shown but not marked as read: %s", error.code)

    def _turns(self, of: Task) -> list[tuple[Message, list[Delivery]]]:
        """What a task's owner wrote or was written in it, oldest first.

        A thread may have several tasks: a message belongs to the one whose messages it replies to.
        """
        thread = self._store.task_thread(of, limit=TURNS)
        chain = {of.id}
        turns = []
        for message, deliveries in thread.messages:
            is_part = message.id == of.id or message.reply_to in chain
            if message.id != of.answer_id and (message.id in thread.others or not is_part):
                continue
            chain.add(message.id)
            if of.owner in {message.sender, *(d.agent for d in deliveries)}:
                turns.append((message, deliveries))
        return turns
