"""The writing half of the store: each function is one command, run inside the writer's savepoint.

They take the writing connection and values, and answer values; they never commit, and they keep
the counters of `mailbox` and `message.open_count` true in the same transaction.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import errors, states
from agent_bus.core.model import (
    OPERATOR,
    Acked,
    AgentName,
    Delivery,
    Draft,
    Fetched,
    MessageId,
    Sent,
    Seq,
    Stamp,
)
from agent_bus.store import rows
from agent_bus.store.contract import KEY_LIFETIME_MS, SHOWN_LATELY_MS
from agent_bus.store.sqlite.write import bulk, tasks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

    from agent_bus.core.states import StampKind
    from agent_bus.core.task import Step

FIND_KEY: Final = (
    "SELECT message_id, payload_sha256 FROM idempotency"
    " WHERE sender = ? AND key = ? AND created_at > ?"
)
KEEP_KEY: Final = (
    "INSERT OR REPLACE INTO idempotency (sender, key, payload_sha256, message_id, created_at)"
    " VALUES (?, ?, ?, ?, ?)"
)
FIND_PARENT: Final = (
    "SELECT pk, thread_id, hops, sender FROM message WHERE id = ?1"
    " UNION ALL SELECT pk, thread_id, hops, sender FROM archive_message WHERE id = ?1"
)
IS_RECIPIENT: Final = (
    "SELECT 1 FROM delivery WHERE message_pk = ?1 AND agent = ?2"
    " UNION ALL SELECT 1 FROM archive_delivery WHERE message_pk = ?1 AND agent = ?2"
)
MESSAGE_BY_ID: Final = f"SELECT {rows.MESSAGE_COLUMNS} FROM message m WHERE m.id = ?"
DELIVERIES_OF: Final = (
    f"SELECT {rows.DELIVERY_COLUMNS} FROM delivery d WHERE d.message_pk = ? ORDER BY d.seq"
)
ARCHIVED_MESSAGE_BY_ID: Final = (
    f"SELECT {rows.MESSAGE_COLUMNS} FROM archive_message m WHERE m.id = ?"
)
ARCHIVED_DELIVERIES_OF: Final = (
    f"SELECT {rows.DELIVERY_COLUMNS} FROM archive_delivery d WHERE d.message_pk = ? ORDER BY d.seq"
)
DELIVERY_TO: Final = (
    f"SELECT {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS} FROM message m"
    " JOIN delivery d ON d.message_pk = m.pk AND d.agent = ?2 WHERE m.id = ?1"
)
ARCHIVED_SEQ_OF: Final = (
    "SELECT d.seq FROM archive_message m"
    " JOIN archive_delivery d ON d.message_pk = m.pk AND d.agent = ?2 WHERE m.id = ?1"
)
FETCHED_UP_TO: Final = (
    f"SELECT {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS} FROM delivery d"
    " INDEXED BY delivery_unread JOIN message m ON m.pk = d.message_pk"
    " WHERE d.agent = ? AND d.read_at IS NULL AND d.expired_at IS NULL"
    " AND d.fetched_at IS NOT NULL AND d.seq <= ? ORDER BY d.rank, d.seq"
)
MARK_READ: Final = "UPDATE delivery SET read_at = ? WHERE seq = ?"
NOTE_READ: Final = (
    f"INSERT INTO webhook_stamp (kind, seq, agent, at) VALUES ('{states.READ}', ?, ?, ?)"
)
CLOSE_ONE: Final = (
    "UPDATE message SET open_count = open_count - 1,"
    " closed_at = CASE WHEN open_count = 1 THEN ?1 END WHERE pk = ?2"
)
COUNT_CLOSED: Final = (
    "UPDATE mailbox SET unread = unread - ?1, unfetched = unfetched - ?2"
    f" WHERE agent = ?3 RETURNING {rows.MAILBOX_COLUMNS}"
)
SHOWN_BEFORE: Final = (
    "SELECT last_fetched_at, fetch_count, read_at, expired_at FROM delivery"
    " WHERE seq = ? AND agent = ?"
)
MARK_FETCHED: Final = (
    "UPDATE delivery SET fetched_at = coalesce(fetched_at, ?1), last_fetched_at = CASE"
    f" WHEN last_fetched_at > ?1 - {SHOWN_LATELY_MS} AND last_fetched_at <= ?1"
    " THEN last_fetched_at ELSE ?1 END, fetch_count = fetch_count + 1 WHERE seq = ?2"
)
_UPDATE_OPEN: Final = "UPDATE delivery INDEXED BY delivery_unread SET"
_WAITING: Final = (
    " WHERE agent = :agent AND read_at IS NULL AND expired_at IS NULL AND seq <= :seq"
)
_SINCE_MARK: Final = " WHERE agent = :agent AND seq > :mark AND seq <= :seq"
STAMP_UP_TO: Final[dict[StampKind, str]] = {
    states.RECEIVED: f"UPDATE delivery SET received_at = :at{_SINCE_MARK} AND received_at IS NULL",
    states.ACCEPTED: f"UPDATE delivery SET accepted_at = :at{_SINCE_MARK} AND accepted_at IS NULL",
    states.FAILED: (
        f"{_UPDATE_OPEN} wake_failed_at = :at, wake_failure = :reason{_WAITING}"
        " AND fetched_at IS NULL"
    ),
    states.ESCALATED: f"{_UPDATE_OPEN} escalated_at = :at{_WAITING} AND escalated_at IS NULL",
    states.OVERDUE: f"{_UPDATE_OPEN} overdue_at = :at{_WAITING} AND overdue_at IS NULL",
}
"""Which deliveries a report is about. `received` and `accepted` include those that the agent read
before the report came, hence the mark; the others are only about mail that still waits."""
NOTE_OVERDUE: Final = (
    "INSERT INTO webhook_stamp (kind, seq, agent, at)"
    f" SELECT '{states.OVERDUE}', seq, agent, :at FROM delivery INDEXED BY delivery_unread"
    f"{_WAITING} AND overdue_at IS NULL ORDER BY rank, seq"
)
MARKS: Final[dict[StampKind, tuple[str, str]]] = {
    states.RECEIVED: (
        "SELECT received_seq FROM mailbox WHERE agent = ?",
        "UPDATE mailbox SET received_seq = max(received_seq, ?) WHERE agent = ?",
    ),
    states.ACCEPTED: (
        "SELECT accepted_seq FROM mailbox WHERE agent = ?",
        "UPDATE mailbox SET accepted_seq = max(accepted_seq, ?) WHERE agent = ?",
    ),
}


def send(
    connection: apsw.Connection,
    draft: Draft,
    *,
    message_id: MessageId,
    now: int,
    steady: int,
    depth_limit: int,
    step: Step | None = None,
) -> Sent:
    """Store a message and its deliveries, or find what its key led to the first time.

    `now` is what people read, `steady` what ages are counted from: see `clock.py`.
    """
    execute = connection.execute
    if draft.idempotency_key is not None:
        key = (draft.sender, draft.idempotency_key)
        known = execute(FIND_KEY, (*key, steady - KEY_LIFETIME_MS)).fetchone()
        if known is not None:
            return _replay(connection, known, draft)
        execute(KEEP_KEY, (*key, draft.payload_sha256, message_id, steady))
    if not draft.recipients:
        raise errors.NoRecipientError
    if step is not None:
        draft = tasks.placed(connection, step, draft)
    thread_id, depth = _thread(connection, draft, message_id)
    if depth > depth_limit:
        raise errors.ThreadBudgetError(thread_id, depth_limit)
    if step is not None:
        tasks.require(connection, step, draft)
    ready = bulk.Ready(draft, message_id, thread_id, depth, now, steady)
    (sent,) = bulk.store(connection, [ready])
    if step is not None:
        tasks.take(connection, step, sent)
    elif draft.reply_to is not None:
        tasks.answer(connection, sent)
    return sent


def _replay(connection: apsw.Connection, known: tuple[Any, ...], draft: Draft) -> Sent:
    message_id, payload_sha256 = known
    if payload_sha256 != draft.payload_sha256:
        raise errors.IdempotencyConflictError(message_id)
    row = connection.execute(MESSAGE_BY_ID, (message_id,)).fetchone()
    of = DELIVERIES_OF
    if row is None:
        row = connection.execute(ARCHIVED_MESSAGE_BY_ID, (message_id,)).fetchone()
        of = ARCHIVED_DELIVERIES_OF
    if row is None:
        raise errors.UnknownMessageError(message_id, field="Idempotency-Key")
    first = rows.message(row)
    found = tuple(rows.delivery(d, first) for d in connection.execute(of, (first.first_seq,)))
    return Sent(first, found, (), replayed=True)


def _thread(
    connection: apsw.Connection, draft: Draft, message_id: MessageId
) -> tuple[MessageId, int]:
    """(thread, depth) of a new message: a thread of its own, or its parent's, one deeper."""
    if draft.reply_to is None:
        return message_id, 0
    parent = connection.execute(FIND_PARENT, (draft.reply_to,)).fetchone()
    if parent is None:
        raise errors.UnknownMessageError(draft.reply_to, field="reply_to")
    pk, thread_id, depth, author = parent
    if draft.sender not in {author, OPERATOR}:
        involved = connection.execute(IS_RECIPIENT, (pk, draft.sender)).fetchone()
        if involved is None:
            raise errors.UnknownMessageError(draft.reply_to, field="reply_to")
    return thread_id, 0 if draft.sender == OPERATOR else depth + 1


def ack_ids(
    connection: apsw.Connection,
    agent: AgentName,
    ids: Iterable[MessageId],
    *,
    now: int,
    steady: int,
    is_noted: bool = False,
) -> Acked:
    """Mark messages as read by one recipient; `steady` is when their retention starts.

    `is_noted` says that webhooks want to know.
    """
    open_ones: list[Delivery] = []
    already: list[MessageId] = []
    unknown: list[MessageId] = []
    for message_id in dict.fromkeys(ids):
        row = connection.execute(DELIVERY_TO, (message_id, agent)).fetchone()
        if row is not None:
            found = rows.joined(row)
            if found.read_at is None:
                open_ones.append(found)
            else:
                already.append(message_id)
        elif connection.execute(ARCHIVED_SEQ_OF, (message_id, agent)).fetchone():
            already.append(message_id)
        else:
            unknown.append(message_id)
    outcome = Acked((), tuple(already), tuple(unknown), (), ())
    if is_noted:
        _note_read(connection, agent, open_ones, now=now)
    return _read(connection, agent, open_ones, outcome, now=now, steady=steady)


def ack_up_to(
    connection: apsw.Connection,
    agent: AgentName,
    last: MessageId,
    *,
    now: int,
    steady: int,
    is_noted: bool = False,
) -> Acked:
    """Mark what was shown to one recipient, up to one message, as read."""
    row = connection.execute(DELIVERY_TO, (last, agent)).fetchone()
    archived = connection.execute(ARCHIVED_SEQ_OF, (last, agent)).fetchone()
    if row is not None:
        until = rows.joined(row).seq
    elif archived is not None:
        until = archived[0]
    else:
        return Acked((), (), (last,), (), ())
    found = [rows.joined(r) for r in connection.execute(FETCHED_UP_TO, (agent, until))]
    if is_noted:
        _note_read(connection, agent, found, now=now)
    return _read(connection, agent, found, Acked((), (), (), (), ()), now=now, steady=steady)


def _note_read(
    connection: apsw.Connection, agent: AgentName, open_ones: Sequence[Delivery], *, now: int
) -> None:
    """Note for webhooks what is read now."""
    for found in open_ones:
        connection.execute(NOTE_READ, (found.seq, agent, now))


def _read(
    connection: apsw.Connection,
    agent: AgentName,
    open_ones: Sequence[Delivery],
    outcome: Acked,
    *,
    now: int,
    steady: int,
) -> Acked:
    """Mark the open deliveries of one agent as read; `outcome` says what became of the rest."""
    for found in open_ones:
        connection.execute(MARK_READ, (now, found.seq))
        if found.expired_at is None:
            connection.execute(CLOSE_ONE, (steady, found.message.first_seq))
    counted = [d for d in open_ones if d.expired_at is None]
    boxes: list[Any] = []
    if counted:
        unfetched = sum(1 for d in counted if d.fetched_at is None)
        boxes = list(connection.execute(COUNT_CLOSED, (len(counted), unfetched, agent)))
    return replace(
        outcome,
        acked=tuple(d.message.id for d in open_ones),
        receipts=tuple(replace(d, read_at=now) for d in open_ones),
        mailboxes=rows.mailboxes(boxes),
    )


def fetch(
    connection: apsw.Connection, agent: AgentName, seqs: Sequence[Seq], *, now: int
) -> Fetched:
    """Stamp deliveries as shown; answers the stamps from before, atomically."""
    before: dict[Seq, tuple[int | None, int]] = {}
    newly = 0
    for seq in seqs:
        row = connection.execute(SHOWN_BEFORE, (seq, agent)).fetchone()
        if row is None:
            continue
        last_fetched_at, fetch_count, read_at, expired_at = row
        before[seq] = (last_fetched_at, fetch_count)
        connection.execute(MARK_FETCHED, (now, seq))
        newly += fetch_count == 0 and read_at is None and expired_at is None
    boxes = list(connection.execute(COUNT_CLOSED, (0, newly, agent))) if newly else []
    return Fetched(before, rows.mailboxes(boxes))


def stamp(
    connection: apsw.Connection, stamps: Sequence[Stamp], *, is_overdue_noted: bool = False
) -> None:
    """Record times: pushes of single deliveries, and reports about all up to a seq."""
    bulk.stamp_pushed(connection, [one for one in stamps if not one.up_to])
    for one in stamps:
        if not one.up_to:
            continue
        mark = 0
        if one.kind in MARKS:
            read_mark, move_mark = MARKS[one.kind]
            row = connection.execute(read_mark, (one.agent,)).fetchone()
            mark = row[0] if row else 0
            connection.execute(move_mark, (one.seq, one.agent))
        if is_overdue_noted and one.kind == states.OVERDUE:
            waiting = {"at": one.at, "agent": one.agent, "seq": one.seq}
            connection.execute(NOTE_OVERDUE, waiting)
        connection.execute(
            STAMP_UP_TO[one.kind],
            {
                "at": one.at,
                "agent": one.agent,
                "seq": one.seq,
                "mark": mark,
                "reason": one.reason,
            },
        )
