"""The reading half of the store: pages of deliveries, messages and keys.

What SQLite's store reads by several walks along an index is one statement here: a round trip costs
more than a walk, and one statement sees one state of the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.model import PRIORITIES, Seq
from agent_bus.store import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from agent_bus.core.model import AgentName, Delivery, Message, MessageId
    from agent_bus.core.slices import InboxSlice, ReplaySlice

_BOTH: Final = f"SELECT {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS}"
_FROM: Final = " FROM delivery d JOIN message m ON m.pk = d.message_pk"
_OPEN: Final = " AND d.read_at IS NULL AND d.expired_at IS NULL"
_FRESH: Final = " AND (m.expires_at IS NULL OR m.expires_at > %(now)s)"
_RANKS: Final = ", ".join(f"({rank}::bigint)" for rank in range(len(PRIORITIES)))


def _inbox(where: str) -> str:
    return (
        f"{_BOTH}{_FROM} WHERE d.agent = %(agent)s{where}"
        f" AND (%(thread)s::text IS NULL OR m.thread_id = %(thread)s){_FRESH}"
        " ORDER BY d.rank, d.seq LIMIT %(limit)s"
    )


_AFTER: Final = " AND (d.rank, d.seq) > (%(after_rank)s, %(after_seq)s)"
_RANK: Final = " AND d.rank = %(rank)s"
INBOX_UNREAD: Final = _inbox(f"{_OPEN}{_AFTER}")
INBOX_UNREAD_RANK: Final = _inbox(f"{_OPEN}{_RANK}{_AFTER}")
INBOX_ALL: Final = _inbox(_AFTER)
INBOX_ALL_RANK: Final = _inbox(f"{_RANK}{_AFTER}")


def _replay(more: str, where: str, order: str) -> str:
    """A walk per agent (and rank), each no longer than the page that they are merged into."""
    walk = (
        f"{_BOTH}{_FROM} WHERE {where} AND d.seq > %(after)s AND d.seq <= %(until)s{_FRESH}"
        f" ORDER BY {order} LIMIT %(limit)s"
    )
    return (
        f"SELECT walk.* FROM unnest(%(agents)s::text[]) AS a(name){more}"
        f" CROSS JOIN LATERAL ({walk}) AS walk ORDER BY walk.seq LIMIT %(limit)s"
    )


REPLAY_ALL: Final = _replay(  # why a range: see history.py
    "", "d.agent >= a.name AND d.agent <= a.name", "d.agent, d.seq"
)
REPLAY_UNREAD: Final = _replay(
    f" CROSS JOIN (VALUES {_RANKS}) AS r(rank)",
    f"d.agent = a.name{_OPEN} AND d.rank = r.rank",
    "d.seq",
)
LOWEST_UNREAD: Final = (
    "SELECT min(low.seq) FROM unnest(%(agents)s::text[]) AS a(name)"
    f" CROSS JOIN (VALUES {_RANKS}) AS r(rank) CROSS JOIN LATERAL ("
    "SELECT d.seq FROM delivery d WHERE d.agent = a.name AND d.rank = r.rank"
    f"{_OPEN} ORDER BY d.seq LIMIT 1) AS low"
)
ARCHIVED_SEQ: Final = "SELECT coalesce(max(archived_seq), 0) FROM mailbox WHERE agent = ANY(%s)"
HEAD: Final = "SELECT seq FROM head"
KNOWN_KEY: Final = "SELECT 1 FROM idempotency WHERE sender = %s AND key = %s AND created_at > %s"
MESSAGE: Final = {
    "live": f"SELECT {rows.MESSAGE_COLUMNS} FROM message m WHERE m.id = %s",
    "archive": f"SELECT {rows.MESSAGE_COLUMNS} FROM archive_message m WHERE m.id = %s",
}
DELIVERIES: Final = {
    "live": (
        f"SELECT {rows.DELIVERY_COLUMNS} FROM message m JOIN delivery d ON d.message_pk = m.pk"
        " WHERE m.id = %s"
    ),
    "archive": (
        f"SELECT {rows.DELIVERY_COLUMNS} FROM archive_message m"
        " JOIN archive_delivery d ON d.message_pk = m.pk WHERE m.id = %s"
    ),
}


def inbox(connection: Connection[Any], wanted: InboxSlice, *, now: int) -> list[Delivery]:
    """One page of an inbox, without what has expired `now` (steady ms)."""
    if wanted.rank is None:
        sql = INBOX_UNREAD if wanted.unread else INBOX_ALL
    else:
        sql = INBOX_UNREAD_RANK if wanted.unread else INBOX_ALL_RANK
    after_rank, after_seq = wanted.after
    bindings: dict[str, Any] = {
        "agent": wanted.agent,
        "rank": wanted.rank,
        "after_rank": after_rank,
        "after_seq": after_seq,
        "thread": wanted.thread,
        "now": now,
        "limit": wanted.limit,
    }
    return [rows.joined(row) for row in connection.execute(sql, bindings)]


def replay(connection: Connection[Any], wanted: ReplaySlice, *, now: int) -> list[Delivery]:
    """The next deliveries of several agents, by seq, without what has expired `now`."""
    bindings: dict[str, Any] = {
        "agents": list(wanted.agents),
        "after": wanted.after,
        "until": wanted.until,
        "now": now,
        "limit": wanted.limit,
    }
    sql = REPLAY_UNREAD if wanted.unread else REPLAY_ALL
    return [rows.joined(row) for row in connection.execute(sql, bindings)]


def lowest_unread(connection: Connection[Any], agents: Sequence[AgentName]) -> Seq | None:
    """The oldest unread delivery over these agents."""
    low = connection.execute(LOWEST_UNREAD, {"agents": list(agents)}).fetchone()
    return None if low is None or low[0] is None else Seq(low[0])


def archived_seq(connection: Connection[Any], agents: Sequence[AgentName]) -> Seq:
    """The newest archived delivery over these agents."""
    row = connection.execute(ARCHIVED_SEQ, (list(agents),)).fetchone()
    return Seq(0 if row is None else row[0])


def head(connection: Connection[Any]) -> Seq:
    """The newest seq ever given."""
    row = connection.execute(HEAD).fetchone()
    return Seq(0 if row is None else row[0])


def known_key(connection: Connection[Any], sender: AgentName, key: str, *, since: int) -> bool:
    """Whether a sender used this idempotency key after `since`."""
    return connection.execute(KNOWN_KEY, (sender, key, since)).fetchone() is not None


def message(
    connection: Connection[Any], message_id: MessageId
) -> tuple[Message, list[Delivery]] | None:
    """One message with all its deliveries, live or archived; in a snapshot."""
    asked = {
        part: (
            connection.execute(MESSAGE[part], (message_id,)),
            connection.execute(DELIVERIES[part], (message_id,)),
        )
        for part in MESSAGE
    }
    for by_id, of in asked.values():
        row = by_id.fetchone()
        if row is not None:
            found = rows.message(row)
            return found, sorted((rows.delivery(one, found) for one in of), key=lambda d: d.seq)
    return None
