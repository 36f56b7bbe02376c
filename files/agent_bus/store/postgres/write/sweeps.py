"""Retention in the store: expire, archive, drop. Each is bounded, so no send waits long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.store import rows
from agent_bus.store.contract import KEY_LIFETIME_MS
from agent_bus.store.postgres.link.connections import one

if TYPE_CHECKING:
    from psycopg import Connection

    from agent_bus.core.model import MailboxCounts
    from agent_bus.core.slices import SweepBounds
    from agent_bus.store.postgres.link.connections import NativeConnection

EXPIRED: Final = (
    "SELECT pk FROM message WHERE expires_at IS NOT NULL AND open_count > 0 AND expires_at <= %s"
    " ORDER BY expires_at LIMIT %s"
)
NEXT_EXPIRY: Final = (
    "SELECT expires_at FROM message WHERE expires_at IS NOT NULL AND open_count > 0"
    " AND expires_at > 0 ORDER BY expires_at LIMIT 1"
)
EXPIRE: Final = (
    "WITH d AS (UPDATE delivery SET expired_at = %s WHERE message_pk = ANY(%s)"
    " AND read_at IS NULL AND expired_at IS NULL RETURNING agent, fetched_at)"
    " UPDATE mailbox b SET unread = b.unread - c.unread, unfetched = b.unfetched - c.unfetched"
    " FROM (SELECT agent, count(*) AS unread, count(*) FILTER (WHERE fetched_at IS NULL)"
    " AS unfetched FROM d GROUP BY agent) c WHERE b.agent = c.agent"
    " RETURNING b.agent, b.unfetched, b.unread, b.last_seq"
)
FAIL_TASKS: Final = (
    "UPDATE task SET state = 'failed', updated_at = %s WHERE pk = ANY(%s) AND state = 'open'"
)
CLOSE_ALL: Final = "UPDATE message SET open_count = 0, closed_at = %s WHERE pk = ANY(%s)"
CLOSED: Final = (
    "SELECT pk FROM message WHERE closed_at IS NOT NULL AND closed_at <= %s"
    " ORDER BY closed_at LIMIT %s"
)
_MESSAGE: Final = (
    "pk, id, thread_id, sender, subject, body, data, rank, reply_to, hops, created_at, expires_at"
)
_DELIVERY: Final = (
    "seq, message_pk, agent, sender, rank, pushed_at, received_at, accepted_at, wake_failed_at,"
    " wake_failure, escalated_at, overdue_at, fetched_at, last_fetched_at, fetch_count, read_at,"
    " expired_at"
)
ARCHIVE_MESSAGES: Final = (
    f"WITH gone AS (DELETE FROM message WHERE pk = ANY(%s) RETURNING {_MESSAGE})"
    f" INSERT INTO archive_message ({_MESSAGE}, archived_at) SELECT {_MESSAGE}, %s FROM gone"
)
ARCHIVE_DELIVERIES: Final = (
    f"WITH gone AS (DELETE FROM delivery WHERE message_pk = ANY(%s) RETURNING {_DELIVERY}),"
    f" kept AS (INSERT INTO archive_delivery ({_DELIVERY}) SELECT {_DELIVERY} FROM gone)"
    " UPDATE mailbox b SET archived_seq = greatest(b.archived_seq, g.seq)"
    " FROM (SELECT agent, max(seq) AS seq FROM gone GROUP BY agent) g WHERE b.agent = g.agent"
)
DROPPED: Final = (
    "SELECT pk FROM archive_message WHERE archived_at <= %s ORDER BY archived_at LIMIT %s"
)
DROP_TELLINGS: Final = (
    "DELETE FROM telling WHERE seq IN"
    " (SELECT seq FROM archive_delivery WHERE message_pk = ANY(%s))"
)
DROP_DELIVERIES: Final = "DELETE FROM archive_delivery WHERE message_pk = ANY(%s)"
DROP_TASKS: Final = "DELETE FROM task WHERE pk = ANY(%s)"
DROP_PENDING: Final = (
    "DELETE FROM question_link WHERE question_pk = ANY(%s)",
    "DELETE FROM question WHERE pk = ANY(%s)",
    "DELETE FROM ladder_step WHERE message_pk = ANY(%s)",
    "DELETE FROM ladder WHERE message_pk = ANY(%s)",
)
DROP_MESSAGES: Final = "DELETE FROM archive_message WHERE pk = ANY(%s)"
FORGET_KEYS: Final = (
    "DELETE FROM idempotency WHERE (sender, key) IN (SELECT sender, key FROM idempotency"
    " WHERE created_at <= %s ORDER BY created_at LIMIT %s)"
)
CHANGES_KEPT: Final = 1_000
"""Newest batches that are kept in any case: their times may be of a hub with a wrong clock."""
CHANGES_KEPT_MS: Final = 10 * 60 * 1000
"""A hub that was away for longer starts anew."""
FORGET_CHANGES: Final = (
    "DELETE FROM change WHERE pos IN (SELECT pos FROM change"
    " WHERE pos <= (SELECT pos FROM head) - %s AND at <= %s ORDER BY pos LIMIT %s)"
)
CHANGES_AT_ONCE: Final = 10_000
"""A minute of many small batches has as many rows."""


def sweep(
    connection: NativeConnection, within: SweepBounds, *, now: int, steady: int
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
    forgotten = connection.execute(FORGET_KEYS, (steady - KEY_LIFETIME_MS, limit)).rowcount
    connection.execute(FORGET_CHANGES, (CHANGES_KEPT, now - CHANGES_KEPT_MS, CHANGES_AT_ONCE))
    return expired + moved + dropped + forgotten, boxes


def next_expiry(connection: Connection[Any]) -> int | None:
    """When the next message expires that somebody has not read (steady ms)."""
    found = one(connection, NEXT_EXPIRY)
    return None if found is None else int(found)


def _expire(
    connection: NativeConnection, now: int, steady: int, limit: int
) -> tuple[int, tuple[MailboxCounts, ...]]:
    found = [pk for (pk,) in connection.execute(EXPIRED, (steady, limit))]
    if not found:
        return 0, ()
    boxes = rows.mailboxes(connection.execute(EXPIRE, (now, found)))
    connection.execute(FAIL_TASKS, (now, found))
    connection.execute(CLOSE_ALL, (steady, found))
    return len(found), boxes


def _archive(connection: NativeConnection, steady: int, before: int, limit: int) -> int:
    found = [pk for (pk,) in connection.execute(CLOSED, (before, limit))]
    if found:
        connection.execute(ARCHIVE_DELIVERIES, (found,))
        connection.execute(ARCHIVE_MESSAGES, (found, steady))
    return len(found)


def _drop(connection: NativeConnection, before: int, limit: int) -> int:
    found = [pk for (pk,) in connection.execute(DROPPED, (before, limit))]
    if found:
        connection.execute(DROP_TELLINGS, (found,))
        connection.execute(DROP_DELIVERIES, (found,))
        connection.execute(DROP_MESSAGES, (found,))
        connection.execute(DROP_TASKS, (found,))
        for sql in DROP_PENDING:
            connection.execute(sql, (found,))
    return len(found)
