"""The columns of tables that several queries read, and how their rows become values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.guards.question import Question
from agent_bus.core.model import PRIORITIES, Delivery, MailboxCounts, Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RANKS: Final = tuple(range(len(PRIORITIES)))
"""All of them: a query names each where an index has the rank before the seq."""
MESSAGE_COLUMNS: Final = (
    "m.id, m.pk, m.thread_id, m.sender, m.subject, m.body, m.data, m.rank, m.reply_to, m.hops,"
    " m.created_at, m.expires_at"
)
MESSAGE_WIDTH: Final = 12
DELIVERY_COLUMNS: Final = (
    "d.seq, d.agent, d.pushed_at, d.received_at, d.accepted_at, d.wake_failed_at, d.wake_failure,"
    " d.escalated_at, d.overdue_at, d.fetched_at, d.last_fetched_at, d.fetch_count, d.read_at,"
    " d.expired_at"
)
MAILBOX_COLUMNS: Final = "agent, unfetched, unread, last_seq"
QUESTION_COLUMNS: Final = (
    "q.pk, q.id, q.asker, q.agents, q.choices, q.asked_at, q.expires_at, q.answer_id,"
    " q.answered_by, q.choice, q.answered_at, q.ended_at"
)
QUESTION_WIDTH: Final = 12


def message(row: Sequence[Any]) -> Message:
    """A message from the columns of MESSAGE_COLUMNS."""
    return Message(*row)


def delivery(row: Sequence[Any], of: Message) -> Delivery:
    """A delivery of `of` from the columns of DELIVERY_COLUMNS."""
    return Delivery(row[0], row[1], of, *row[2:])


def joined(row: Sequence[Any]) -> Delivery:
    """A delivery from MESSAGE_COLUMNS followed by DELIVERY_COLUMNS."""
    return delivery(row[MESSAGE_WIDTH:], Message(*row[:MESSAGE_WIDTH]))


def mailboxes(rows: Iterable[Sequence[Any]]) -> tuple[MailboxCounts, ...]:
    """Mailboxes from rows of MAILBOX_COLUMNS."""
    return tuple(MailboxCounts(*row) for row in rows)


def question(row: Sequence[Any]) -> Question:
    """A question from the columns of QUESTION_COLUMNS."""
    pk, message_id, asker, agents, choices, *rest = row[:QUESTION_WIDTH]
    return Question(
        pk, message_id, asker, tuple(json.loads(agents)), tuple(json.loads(choices)), *rest
    )
