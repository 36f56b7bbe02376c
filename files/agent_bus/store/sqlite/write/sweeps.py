"""Retention in the store: expire, archive, drop. Each is bounded, so no send waits long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.store import rows
from agent_bus.store.contract import KEY_LIFETIME_MS
from agent_bus.store.sqlite.write import commands

if TYPE_CHECKING:
    import apsw

    from agent_bus.core.model import MailboxCounts
    from agent_bus.core.slices import SweepBounds

EXPIRED: Final = (
    "SELECT pk FROM message WHERE expires_at IS NOT NULL AND open_count > 0 AND expires_at <= ?"
    " ORDER BY expires_at LIMIT ?"
)
NEXT_EXPIRY: Final = (
    "SELECT expires_at FROM message WHERE expires_at IS NOT NULL AND open_count > 0"
    " AND expires_at > 0 ORDER BY expires_at LIMIT 1"
)
OPEN_DELIVERIES: Final = (
    "SELECT seq, agent, fetched_at FROM delivery"
    " WHERE message_pk = ? AND read_at IS NULL AND expired_at IS NULL"
)
MARK_EXPIRED: Final = "UPDATE delivery SET expired_at = ? WHERE seq = ?"
FAIL_TASK: Final = (
    "UPDATE task SET state = 'failed', updated_at = ? WHERE pk = ? AND state = 'open'"
)
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
    " wake_failure, escalated_at, overdue_at, fetched_at, last_fetched_at, fetch_count, read_at,"
    " expired_at"
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
DROP_TELLINGS: Final = (
    "DELETE FROM telling WHERE seq IN (SELECT seq FROM archive_delivery WHERE message_pk = ?)"
)
DROP_DELIVERIES: Final = "DELETE FROM archive_delivery WHERE message_pk = ?"
DROP_TASK: Final = "DELETE FROM task WHERE pk = ?"
DROP_PENDING: Final = (
    "DELETE FROM question_link WHERE question_pk = ?",
    "DELETE FROM question WHERE pk = ?",
    "DELETE FROM ladder_step WHERE message_pk = ?",
    "DELETE FROM ladder WHERE message_pk = ?",
)
DROP_MESSAGE: Final = "DELETE FROM archive_message WHERE pk = ?"
FORGET_KEYS: Final = (
    "DELETE FROM idempotency WHERE (sender, key) IN (SELECT sender, key FROM idempotency"
    " WHERE created_at <= ? ORDER BY created_at LIMIT ?)"
)
FREE_PAGES: Final = "PRAGMA freelist_count"
RECLAIM: Final = "PRAGMA incremental_vacuum(1000)"
"""Gives at most 4 MB back to the file system, in a few milliseconds."""
FREE_PAGES_KEPT: Final = 1000
"""Free pages that stay in the file for the next messages, so that it need not grow."""


def sweep(
    connection: apsw.Connection, within: SweepBounds, *, now: int, steady: int
) -> tuple[int, tuple[MailboxCounts, ...]]:
    """Expire, archive, drop and forget at most `limit` each.

    Ages are counted on `steady` (see `clock.py`); `now` is what people read.

    Returns:
        How many it touched (fewer than `limit`: nothing is left to do), and the mailboxes that
        changed.
    """
    limit = within.limit
    expired, boxes = _expire(connection, now, steady, limit)
    moved = _archive(connection, steady, steady - within.retain_read_ms, limit)
    dropped = _drop(connection, steady - within.retain_archive_ms, limit)
    connection.execute(FORGET_KEYS, (steady - KEY_LIFETIME_MS, limit))
    forgotten = connection.changes()
    if _free_pages(connection) > FREE_PAGES_KEPT:
        connection.execute(RECLAIM).fetchall()  # each step gives one page back
    return expired + moved + dropped + forgotten, boxes


def next_expiry(connection: apsw.Connection) -> int | None:
    """When the next message expires that somebody has not read (steady ms)."""
    row = connection.execute(NEXT_EXPIRY).fetchone()
    return None if row is None else int(row[0])


def _free_pages(connection: apsw.Connection) -> int:
    return int(next(iter(connection.execute(FREE_PAGES)))[0])


def _expire(
    connection: apsw.Connection, now: int, steady: int, limit: int
) -> tuple[int, tuple[MailboxCounts, ...]]:
    boxes: dict[str, MailboxCounts] = {}
    found = list(connection.execute(EXPIRED, (steady, limit)))
    for (pk,) in found:
        for seq, agent, fetched_at in list(connection.execute(OPEN_DELIVERIES, (pk,))):
            connection.execute(MARK_EXPIRED, (now, seq))
            counted: list[Any] = list(
                connection.execute(commands.COUNT_CLOSED, (1, fetched_at is None, agent))
            )
            boxes.update({box.agent: box for box in rows.mailboxes(counted)})
        connection.execute(FAIL_TASK, (now, pk))
        connection.execute(CLOSE_ALL, (steady, pk))
    return len(found), tuple(boxes.values())


def _archive(connection: apsw.Connection, steady: int, before: int, limit: int) -> int:
    found = list(connection.execute(CLOSED, (before, limit)))
    for (pk,) in found:
        connection.execute(ARCHIVE_MESSAGE, (steady, pk))
        connection.execute(ARCHIVE_DELIVERIES, (pk,))
        for agent, seq in list(connection.execute(ARCHIVED_ONES, (pk,))):
            connection.execute(MARK_ARCHIVED, (seq, agent))
        connection.execute(DELETE_DELIVERIES, (pk,))
        connection.execute(DELETE_MESSAGE, (pk,))
    return len(found)


def _drop(connection: apsw.Connection, before: int, limit: int) -> int:
    found = list(connection.execute(DROPPED, (before, limit)))
    for (pk,) in found:
        connection.execute(DROP_TELLINGS, (pk,))
        connection.execute(DROP_DELIVERIES, (pk,))
        connection.execute(DROP_MESSAGE, (pk,))
        connection.execute(DROP_TASK, (pk,))
        for sql in DROP_PENDING:
            connection.execute(sql, (pk,))
    return len(found)
