"""How much is stored, and how old it is: for metrics, alerts and the fleet's facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.model import PRIORITIES, AgentName, Ages, NodeName
from agent_bus.store import rows

if TYPE_CHECKING:
    from psycopg import Connection

    from agent_bus.core.model import MailboxCounts

_RANKS: Final = ", ".join(f"({rank}::bigint)" for rank in range(len(PRIORITIES)))
MAILBOXES: Final = f"SELECT {rows.MAILBOX_COLUMNS} FROM mailbox ORDER BY agent"
OLDEST_UNREAD: Final = (
    "SELECT x.agent, m.created_at FROM mailbox x CROSS JOIN LATERAL ("
    f"SELECT min(low.seq) AS seq FROM (VALUES {_RANKS}) AS r(rank) CROSS JOIN LATERAL ("
    "SELECT o.seq FROM delivery o WHERE o.agent = x.agent AND o.rank = r.rank"
    " AND o.read_at IS NULL AND o.expired_at IS NULL ORDER BY o.seq LIMIT 1) AS low) AS oldest"
    " JOIN delivery d ON d.seq = oldest.seq JOIN message m ON m.pk = d.message_pk"
    " WHERE x.unread > 0"
)
LAST_WAKES: Final = " UNION ALL ".join(
    f"SELECT x.agent, d.accepted_at FROM mailbox x JOIN {table} d ON d.seq = x.accepted_seq"
    " WHERE d.accepted_at IS NOT NULL"
    for table in ("delivery", "archive_delivery")
)
ROTATIONS: Final = (
    "SELECT substr(key, 10), value::bigint FROM meta WHERE starts_with(key, 'rotation:')"
)
AGENT_ROTATIONS: Final = (
    "SELECT substr(key, 16), value::bigint FROM meta WHERE starts_with(key, 'agent-rotation:')"
)
OLDEST_ARCHIVED: Final = "SELECT min(archived_at) FROM archive_message"
BEGUN: Final = "SELECT min(registered_at) FROM agent WHERE registered_at > 0"
COUNTS: Final = (
    "SELECT (SELECT seq FROM head), coalesce(sum(unread), 0)::bigint,"
    " coalesce(sum(unfetched), 0)::bigint, pg_database_size(current_database()) FROM mailbox"
)


def mailboxes(connection: Connection[Any]) -> list[MailboxCounts]:
    """Counters of all agents."""
    return list(rows.mailboxes(connection.execute(MAILBOXES)))


def oldest_unread(connection: Connection[Any]) -> dict[AgentName, int]:
    """When each agent's oldest unread message was created."""
    return dict(connection.execute(OLDEST_UNREAD).fetchall())


def last_wakes(connection: Connection[Any]) -> dict[AgentName, int]:
    """When each agent's gateway last accepted a wake, as far as it is still known."""
    return dict(connection.execute(LAST_WAKES).fetchall())


def ages(connection: Connection[Any]) -> Ages:
    """See `Vitals.ages`; in a snapshot."""
    rotations, of_agents = connection.execute(ROTATIONS), connection.execute(AGENT_ROTATIONS)
    archived, begun = connection.execute(OLDEST_ARCHIVED), connection.execute(BEGUN)
    return Ages(
        rotating={NodeName(node): at for node, at in rotations},
        rotating_agents={AgentName(agent): at for agent, at in of_agents},
        archived_at=_value(archived.fetchone()),
        begun_at=_value(begun.fetchone()),
    )


def counts(connection: Connection[Any]) -> dict[str, int]:
    """How much is stored, without counting rows.

    PostgreSQL keeps its own house: what is free inside its files and its log is not asked.
    """
    row = connection.execute(COUNTS).fetchone()
    assert row is not None
    return {
        "head": row[0],
        "unread": row[1],
        "unfetched": row[2],
        "database_bytes": row[3],
        "free_bytes": 0,
        "wal_bytes": 0,
    }


def _value(row: tuple[Any, ...] | None) -> Any:  # noqa: ANN401 - a column's value
    return None if row is None else row[0]
