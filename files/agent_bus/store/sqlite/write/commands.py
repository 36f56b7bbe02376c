"""Acks, fetches and stamps: each function is one command, run in the writer's transaction.

They take the writing connection and values, and answer values; they never commit, and they keep
the counters of `mailbox` and `message.open_count` true in the same transaction.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import states
from agent_bus.core.model import (
    Acked,
    AgentName,
    Delivery,
    Fetched,
    MessageId,
    Seq,
    Stamp,
)
from agent_bus.store import rows
from agent_bus.store.contract import SHOWN_LATELY_MS
from agent_bus.store.sqlite.write import bulk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

    from agent_bus.core.states import StampKind

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
_SINCE_MARK: Final = (
    f" WHERE agent = :agent AND rank IN {rows.RANKS} AND seq > :mark AND seq <= :seq"
)
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
