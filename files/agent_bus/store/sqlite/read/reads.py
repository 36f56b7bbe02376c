"""The reading half of the store: short read transactions on read-only connections.

Each function runs in a reader's native thread, fetches all its rows and closes the cursor: an open
reader would keep the WAL from being reset.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final, TypeVar

from agent_bus.core.model import Delivery, MailboxCounts, Message, Seq
from agent_bus.store import rows
from agent_bus.store.sqlite.write import bulk, sends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import apsw

    from agent_bus.core.model import AgentName, MessageId
    from agent_bus.core.slices import InboxSlice, ReplaySlice

T = TypeVar("T")

_BOTH: Final = f"SELECT {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS}"
_FROM: Final = " FROM delivery d JOIN message m ON m.pk = d.message_pk WHERE d.agent = :agent"
_FROM_OPEN: Final = (
    # The planner would choose an index of all mail, and walk over years of read mail.
    " FROM delivery d INDEXED BY delivery_unread JOIN message m ON m.pk = d.message_pk"
    " WHERE d.read_at IS NULL AND d.expired_at IS NULL AND d.agent = :agent"
)
_FRESH: Final = " AND (m.expires_at IS NULL OR m.expires_at > :now)"
_PAGE: Final = (
    " AND d.rank = :rank AND d.seq > :after AND (:thread IS NULL OR m.thread_id = :thread)"
    f"{_FRESH} ORDER BY d.seq LIMIT :limit"
)
INBOX_UNREAD: Final = f"{_BOTH}{_FROM_OPEN}{_PAGE}"
INBOX_ALL: Final = f"{_BOTH}{_FROM}{_PAGE}"
_SPAN: Final = (
    " AND d.rank = :rank AND d.seq > :after AND d.seq <= :until"
    f"{_FRESH} ORDER BY d.seq LIMIT :limit"
)
REPLAY_ALL: Final = f"{_BOTH}{_FROM}{_SPAN}"
REPLAY_UNREAD: Final = f"{_BOTH}{_FROM_OPEN}{_SPAN}"
LOWEST_UNREAD: Final = (
    "SELECT min(seq) FROM delivery INDEXED BY delivery_unread"
    " WHERE agent = ? AND rank = ? AND read_at IS NULL AND expired_at IS NULL"
)
CREATED_AT_OF: Final = (
    "SELECT m.created_at FROM delivery d JOIN message m ON m.pk = d.message_pk WHERE d.seq = ?"
)
ARCHIVED_SEQ: Final = "SELECT archived_seq FROM mailbox WHERE agent = ?"
MAILBOXES: Final = f"SELECT {rows.MAILBOX_COLUMNS} FROM mailbox"
OPEN_TOTALS: Final = "SELECT coalesce(sum(unread), 0), coalesce(sum(unfetched), 0) FROM mailbox"
WITH_UNREAD: Final = "SELECT agent FROM mailbox WHERE unread > 0"
LAST_WAKES: Final = tuple(
    f"SELECT x.agent, d.accepted_at FROM mailbox x JOIN {table} d ON d.seq = x.accepted_seq"
    " WHERE d.accepted_at IS NOT NULL"
    for table in ("delivery", "archive_delivery")
)
KNOWN_KEY: Final = "SELECT 1 FROM idempotency WHERE sender = ? AND key = ? AND created_at > ?"


def snapshot(connection: apsw.Connection, read: Callable[[apsw.Connection], T]) -> T:
    """Run a read of several statements on one state of the database.

    A message that a sweep archives between two statements would else be found in neither place,
    or without its deliveries.
    """
    connection.execute("BEGIN")
    try:
        return read(connection)
    finally:
        connection.execute("COMMIT")


def inbox(connection: apsw.Connection, wanted: InboxSlice, *, now: int) -> list[Delivery]:
    """One page of an inbox, without what has expired `now` (steady ms).

    Each rank is a separate walk along the index: one walk over all could not start at the seq.
    """
    sql = INBOX_UNREAD if wanted.unread else INBOX_ALL
    first_rank, first_seq = wanted.after
    page: list[Delivery] = []
    for rank in rows.RANKS if wanted.rank is None else (wanted.rank,):
        if rank >= first_rank and len(page) < wanted.limit:
            bindings = {
                "agent": wanted.agent,
                "rank": rank,
                "after": first_seq if rank == first_rank else 0,
                "thread": wanted.thread,
                "now": now,
                "limit": wanted.limit - len(page),
            }
            page.extend(rows.joined(row) for row in connection.execute(sql, bindings))
    return page


def replay(connection: apsw.Connection, wanted: ReplaySlice, *, now: int) -> list[Delivery]:
    """The next deliveries of several agents, merged by seq, without what has expired `now`."""
    sql = REPLAY_UNREAD if wanted.unread else REPLAY_ALL
    bindings: dict[str, Any] = {
        "after": wanted.after,
        "until": wanted.until,
        "now": now,
        "limit": wanted.limit,
    }
    walks = [
        {**bindings, "agent": agent, "rank": rank}
        for agent in wanted.agents
        for rank in rows.RANKS
    ]
    each = [[rows.joined(row) for row in connection.execute(sql, walk)] for walk in walks]
    return list(heapq.merge(*each, key=lambda d: d.seq))[: wanted.limit]


def lowest_unread(connection: apsw.Connection, agents: Iterable[AgentName]) -> Seq | None:
    """The oldest unread delivery over these agents."""
    lows = [_value(connection, LOWEST_UNREAD, (agent, r)) for agent in agents for r in rows.RANKS]
    return min((low for low in lows if low is not None), default=None)


def archived_seq(connection: apsw.Connection, agents: Iterable[AgentName]) -> Seq:
    """The newest archived delivery over these agents."""
    found = [connection.execute(ARCHIVED_SEQ, (agent,)).fetchone() for agent in agents]
    return Seq(max((row[0] for row in found if row), default=0))


def oldest_unread(connection: apsw.Connection) -> dict[AgentName, int]:
    """When each agent's oldest unread message was created."""
    oldest: dict[AgentName, int] = {}
    for (agent,) in list(connection.execute(WITH_UNREAD)):
        low = lowest_unread(connection, [agent])
        if low is not None:
            oldest[agent] = _value(connection, CREATED_AT_OF, (low,))
    return oldest


def last_wakes(connection: apsw.Connection) -> dict[AgentName, int]:
    """When each agent's gateway last accepted a wake, as far as it is still known."""
    return {agent: at for sql in LAST_WAKES for agent, at in connection.execute(sql)}


def mailboxes(connection: apsw.Connection) -> list[MailboxCounts]:
    """Counters of all agents."""
    return list(rows.mailboxes(connection.execute(MAILBOXES)))


def head(connection: apsw.Connection) -> Seq:
    """The newest seq ever given."""
    row = connection.execute(bulk.HIGHEST_SEQ).fetchone()
    return Seq(row[0] if row else 0)


def message(
    connection: apsw.Connection, message_id: MessageId
) -> tuple[Message, list[Delivery]] | None:
    """One message with all its deliveries, live or archived."""
    for by_id, of in (
        (sends.MESSAGE_BY_ID, sends.DELIVERIES_OF),
        (sends.ARCHIVED_MESSAGE_BY_ID, sends.ARCHIVED_DELIVERIES_OF),
    ):
        row = connection.execute(by_id, (message_id,)).fetchone()
        if row is not None:
            found = rows.message(row)
            return found, deliveries_of(connection, found, of)
    return None


def deliveries_of(connection: apsw.Connection, of: Message, sql: str) -> list[Delivery]:
    """All deliveries of a message, in seq order."""
    return [rows.delivery(row, of) for row in connection.execute(sql, (of.first_seq,))]


def known_key(connection: apsw.Connection, sender: AgentName, key: str, *, since: int) -> bool:
    """Whether a sender used this idempotency key after `since`."""
    return connection.execute(KNOWN_KEY, (sender, key, since)).fetchone() is not None


def counts(connection: apsw.Connection) -> dict[str, int]:
    """How much is stored, without counting rows: head, open mail by the counters, file size."""
    unread, unfetched = next(iter(connection.execute(OPEN_TOTALS)))
    pages = _value(connection, "PRAGMA page_count")
    page_bytes = _value(connection, "PRAGMA page_size")
    free = _value(connection, "PRAGMA freelist_count")
    return {
        "head": head(connection),
        "unread": unread,
        "unfetched": unfetched,
        "database_bytes": pages * page_bytes,
        "free_bytes": free * page_bytes,
    }


def _value(connection: apsw.Connection, sql: str, bindings: tuple[object, ...] = ()) -> Any:  # noqa: ANN401 - a column's value
    """The value of a statement that always answers one row with one column."""
    return next(iter(connection.execute(sql, bindings)))[0]
