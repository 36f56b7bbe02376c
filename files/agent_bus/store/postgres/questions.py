"""Questions, written in the transaction of the message that asks or answers one.

Each by itself in a batch, behind the lock on `head`: of two answers, one is first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from agent_bus.core.guards.question import Asking, accept
from agent_bus.core.model import Sent
from agent_bus.store import rows
from agent_bus.store.postgres.link import connections
from agent_bus.store.postgres.write.sends import Sends

if TYPE_CHECKING:
    from agent_bus.core.guards.question import Part
    from agent_bus.core.model import Draft
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.write.sends import Send

SEQ: Final = "SELECT seq FROM head"
ASKED: Final = (
    "INSERT INTO question (pk, id, asker, agents, choices, asked_at, expires_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
)
BY_ID: Final = f"SELECT {rows.QUESTION_COLUMNS} FROM question q WHERE q.id = %s"
ANSWERED: Final = (
    "UPDATE question SET answer_id = %s, answered_by = %s, choice = %s, answered_at = %s"
    " WHERE id = %s"
)


def take(connection: NativeConnection, *, part: Part, work: Send) -> Sent:
    """Store a message that asks or answers a question, and what it makes of it.

    Raises:
        errors.BusError: whatever a send raises; see `question.accept`.
    """
    sends = Sends([work])
    sends.ask(connection)
    sends.decide(connection, int(connections.one(connection, SEQ)))
    (sent,) = sends.results
    if isinstance(sent, Exception):
        raise sent
    if sent.replayed:
        return sent
    _require(connection, part, work.draft, steady=work.steady)
    sends.write(connection)
    sends.finish(None)
    m = sent.message
    if isinstance(part, Asking):
        agents = json.dumps(work.draft.recipients)
        choices = json.dumps(part.choices, ensure_ascii=False)
        row = (m.first_seq, m.id, m.sender, agents, choices, m.created_at, m.expires_at)
        connection.execute(ASKED, row)
    else:
        connection.execute(ANSWERED, (m.id, m.sender, part.choice, m.created_at, m.reply_to))
    (sent,) = sends.results
    assert isinstance(sent, Sent)
    return sent


def _require(connection: NativeConnection, part: Part, draft: Draft, *, steady: int) -> None:
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
