"""Questions, written in the transaction of the message that asks or answers one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from agent_bus.core.guards.question import Asking, accept
from agent_bus.store import rows

if TYPE_CHECKING:
    import apsw

    from agent_bus.core.guards.question import Part
    from agent_bus.core.model import Draft, Sent

ASKED: Final = (
    "INSERT INTO question (pk, id, asker, agents, choices, asked_at, expires_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
BY_ID: Final = f"SELECT {rows.QUESTION_COLUMNS} FROM question q WHERE q.id = ?"
ANSWERED: Final = (
    "UPDATE question SET answer_id = ?, answered_by = ?, choice = ?, answered_at = ? WHERE id = ?"
)


def require(connection: apsw.Connection, part: Part, draft: Draft, *, steady: int) -> None:
    """Refuse an answer that does not count; what answers no question is none.

    Raises:
        errors.BusError: see `question.accept`.
    """
    if isinstance(part, Asking):
        return
    row = connection.execute(BY_ID, (draft.reply_to,)).fetchone()
    if row is not None:
        accept(
            rows.question(row),
            sender=draft.sender,
            recipients=draft.recipients,
            choice=part.choice,
            steady=steady,
        )


def take(connection: apsw.Connection, part: Part, sent: Sent) -> None:
    """What a message, which has just been stored, makes of its question."""
    m = sent.message
    if isinstance(part, Asking):
        agents = json.dumps([delivery.agent for delivery in sent.deliveries])
        choices = json.dumps(part.choices, ensure_ascii=False)
        row = (m.first_seq, m.id, m.sender, agents, choices, m.created_at, m.expires_at)
        connection.execute(ASKED, row)
    else:
        connection.execute(ANSWERED, (m.id, m.sender, part.choice, m.created_at, m.reply_to))
