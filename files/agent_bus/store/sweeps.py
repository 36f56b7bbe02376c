"""Retention inside the store: expire, archive, drop; each bounded, so that no send waits long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.store import commands, rows

if TYPE_CHECKING:
    import apsw

    from agent_bus.model import Mailbox

EXPIRED: Final = (
    "SELECT pk FROM message WHERE expires_at IS NOT NULL AND open_count > 0 AND expires_at <= ?"
    " ORDER BY expires_at LIMIT ?"
)
OPEN_DELIVERIES: Final = (
    "SELECT seq, agent, fetched_at FROM delivery"
    " WHERE message_pk = ? AND read_at IS NULL AND expired_at IS NULL"
)
MARK_EXPIRED: Final = "UPDATE delivery SET expired_at = ? WHERE seq = ?"
CLOSE_ALL: Final = "UPDATE message SET open_count = 0, closed_at = ? WHERE pk = ?"
CLOSED: Final = (
    "SELECT pk FROM message WHERE closed_at IS NOT NULL AND closed_at <= ?"
    " ORDER BY closed_at LIMIT ?"
)
_MESSAGE: Final = (
    "pk, id, thread_id, sender, subject, body, data, rank, reply_to, hops, created_at, expires_at"
)
_DELIVERY: Final = (
    "seq, message_pk, agent, sender, rank, pushed_at, received_at, accepted_at, wake_failed_at,"
    " wake_failure, escalated_at, overdue_at, fetched_at, fetch_count, read_at, expired_at"
)
ARCHIVE_MESSAGE: Final = (
    f"INSERT INTO archive_message ({_MESSAGE}, archived_at)"
    f" SELECT {_MESSAGE}, ? FROM message WHERE pk = ?"
)
ARCHIVE_DELIVERIES: Final = (
    f"INSERT INTO archive_delivery ({_DELIVERY})"
    f" SELECT {_DELIVERY} FROM delivery WHERE message_pk = ?"
)
ARCHIVED_ONES: Final = "SELECT agent, max(seq) FROM delivery WHERE message_pk = ? GROUP BY agent"
MARK_ARCHIVED: Final = "UPDATE mailbox SET archived_seq = max(archived_seq, ?) WHERE agent = ?"
DELETE_DELIVERIES: Final = "DELETE FROM delivery WHERE message_pk = ?"
DELETE_MESSAGE: Final = "DELETE FROM message WHERE pk = ?"
DROPPED: Final = (
    "SELECT pk FROM archive_message WHERE archived_at <= ? ORDER BY archived_at LIMIT ?"
)
DROP_DELIVERIES: Final = "DELETE FROM archive_delivery WHERE message_pk = ?"
DROP_MESSAGE: Final = "DELETE FROM archive_message WHERE pk = ?"
FORGET_KEYS: Final = "DELETE FROM idempotency WHERE created_at <= ?"
RECLAIM: Final = "PRAGMA incremental_vacuum(1000)"


def sweep(
    connection: apsw.Connection,
    *,
    now: int,
    retain_read_ms: int,
    retain_archive_ms: int,
    limit: int,
) -> tuple[int, tuple[Mailbox, ...]]:
    """Expire, archive and drop at most `limit` messages each; answers how many, and mailboxes."""
    boxes = _expire(connection, now, limit)
    moved = _archive(connection, now, now - retain_read_ms, limit)
    dropped = _drop(connection, now - retain_archive_ms, limit)
    connection.execute(FORGET_KEYS, (now - commands.KEY_LIFETIME_MS,))
    if moved or dropped:
        connection.execute(RECLAIM)
    return moved + dropped + len(boxes), tuple(boxes.values())


def _expire(connection: apsw.Connection, now: int, limit: int) -> dict[str, Mailbox]:
    boxes: dict[str, Mailbox] = {}
    for (pk,) in list(connection.execute(EXPIRED, (now, limit))):
        for seq, agent, fetched_at in list(connection.execute(OPEN_DELIVERIES, (pk,))):
            connection.execute(MARK_EXPIRED, (now, seq))
            counted: list[Any] = list(
                connection.execute(commands.COUNT_CLOSED, (1, fetched_at is None, agent))
            )
            boxes[agent] = rows.mailboxes(counted)[0]
        connection.execute(CLOSE_ALL, (now, pk))
    return boxes


def _archive(connection: apsw.Connection, now: int, before: int, limit: int) -> int:
    found = list(connection.execute(CLOSED, (before, limit)))
    for (pk,) in found:
        connection.execute(ARCHIVE_MESSAGE, (now, pk))
        connection.execute(ARCHIVE_DELIVERIES, (pk,))
        for agent, seq in list(connection.execute(ARCHIVED_ONES, (pk,))):
            connection.execute(MARK_ARCHIVED, (seq, agent))
        connection.execute(DELETE_DELIVERIES, (pk,))
        connection.execute(DELETE_MESSAGE, (pk,))
    return len(found)


def _drop(connection: apsw.Connection, before: int, limit: int) -> int:
    found = list(connection.execute(DROPPED, (before, limit)))
    for (pk,) in found:
        connection.execute(DROP_DELIVERIES, (pk,))
        connection.execute(DROP_MESSAGE, (pk,))
    return len(found)
