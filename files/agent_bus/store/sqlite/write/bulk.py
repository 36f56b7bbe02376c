"""Stores many messages at once: three statements for a whole batch of sends.

Each statement gives the interpreter lock away and waits to get it back, so under load the number
of statements decides what a batch costs. Runs inside the writer's savepoint like every command.
Its input has passed all checks: only the disk can make it fail.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.model import (
    AgentName,
    Delivery,
    Draft,
    MailboxCounts,
    Message,
    MessageId,
    Sent,
    Seq,
    Stamp,
    value,
)
from agent_bus.store import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

ROWS_AT_ONCE: Final = 64
"""Rows per statement; more rows take more statements, which bounds the cached text."""
HIGHEST_SEQ: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'delivery'"
INSERT_MESSAGES: Final = (
    "INSERT INTO message (pk, id, thread_id, sender, subject, body, data, rank, reply_to, hops,"
    " created_at, expires_at, open_count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_DELIVERIES: Final = (
    "INSERT INTO delivery (seq, message_pk, agent, sender, rank) VALUES (?, ?, ?, ?, ?)"
)
COUNT_SENT: Final = (
    "WITH new (name, added, newest) AS (VALUES (?, ?, ?))"
    " UPDATE mailbox SET unread = unread + new.added, unfetched = unfetched + new.added,"
    " last_seq = new.newest FROM new WHERE mailbox.agent = new.name"
    f" RETURNING {rows.MAILBOX_COLUMNS}"
)

STAMP_PUSHED: Final = (
    "WITH new (number, at) AS (VALUES (?, ?))"
    " UPDATE delivery SET pushed_at = coalesce(pushed_at, new.at)"
    " FROM new WHERE delivery.seq = new.number"
)


@value
class Ready:
    """A message that is ready to be stored.

    `now` is what people read, `steady` what ages are counted from: see `clock.py`.
    """

    draft: Draft
    message_id: MessageId
    thread_id: MessageId
    depth: int
    now: int
    steady: int


def store(connection: apsw.Connection, ready: Sequence[Ready]) -> list[Sent]:
    """Store messages with their deliveries, in order.

    Each agent's counters come once, as they are after the whole batch, with the last message.
    """
    highest = connection.execute(HIGHEST_SEQ).fetchone()
    seq = (highest[0] if highest else 0) + 1
    messages: list[tuple[Any, ...]] = []
    deliveries: list[tuple[Any, ...]] = []
    added: dict[AgentName, list[Any]] = {}
    sent: list[Sent] = []
    for one in ready:
        draft = one.draft
        message = _message(one, Seq(seq))
        messages.append(
            (
                seq, one.message_id, one.thread_id, draft.sender, draft.subject, draft.body,
                draft.data_json, draft.rank, draft.reply_to, one.depth, one.now,
                message.expires_at, len(draft.recipients),
            )
        )  # fmt: skip
        mine: list[Delivery] = []
        for agent in draft.recipients:
            deliveries.append((seq, message.first_seq, agent, draft.sender, draft.rank))
            mine.append(Delivery(Seq(seq), agent, message))
            count = added.setdefault(agent, [agent, 0, 0])
            count[1] += 1
            count[2] = seq
            seq += 1
        sent.append(Sent(message, tuple(mine), ()))
    _execute(connection, INSERT_MESSAGES, messages)
    _execute(connection, INSERT_DELIVERIES, deliveries)
    counted = _execute(connection, COUNT_SENT, list(added.values()))
    last = sent[-1]
    sent[-1] = Sent(last.message, last.deliveries, _in_order(added, counted))
    return sent


def stamp_pushed(connection: apsw.Connection, stamps: Sequence[Stamp]) -> None:
    """Record when deliveries were first written to a stream."""
    _execute(connection, STAMP_PUSHED, [(stamp.seq, stamp.at) for stamp in stamps])


def _message(one: Ready, seq: Seq) -> Message:
    draft = one.draft
    lifetime_s = draft.expires_in_s
    return Message(
        one.message_id,
        seq,
        one.thread_id,
        draft.sender,
        draft.subject,
        draft.body,
        draft.data_json,
        draft.rank,
        draft.reply_to,
        one.depth,
        one.now,
        None if lifetime_s is None else one.steady + lifetime_s * 1000,
    )


def _in_order(added: dict[AgentName, list[Any]], counted: list[Any]) -> tuple[MailboxCounts, ...]:
    """Counters in the order of the deliveries; SQLite promises none for RETURNING."""
    found = {box.agent: box for box in rows.mailboxes(counted)}
    return tuple(found[agent] for agent in added if agent in found)


def _execute(connection: apsw.Connection, sql: str, values: Sequence[Sequence[Any]]) -> list[Any]:
    """Run a statement written for one row with many rows; answers what it returns."""
    found: list[Any] = []
    for start in range(0, len(values), ROWS_AT_ONCE):
        part = values[start : start + ROWS_AT_ONCE]
        bindings = [value for row in part for value in row]
        found.extend(connection.execute(_for_rows(sql, len(part)), bindings))
    return found


@functools.lru_cache(maxsize=4 * ROWS_AT_ONCE)
def _for_rows(sql: str, count: int) -> str:
    """The statement with its VALUES repeated."""
    before, values, row = sql.partition("VALUES ")
    placeholders, end, after = row.partition(")")
    one = f"{placeholders}{end}"
    return f"{before}{values}{', '.join([one] * count)}{after}"
