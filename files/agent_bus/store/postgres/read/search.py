"""What the dashboard's search asks of PostgreSQL; `store/search.py` says how it is joined."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from agent_bus.store import rows, search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from agent_bus.core.model import AgentName, Message, SearchPage
    from agent_bus.core.slices import SearchSlice

_TEXT: Final = (
    # COLLATE "C": upper and lower case are one for ASCII letters only, as in SQLite.
    ' AND (%(pattern)s::text IS NULL OR m.body COLLATE "C" ILIKE %(pattern)s'
    ' OR m.subject COLLATE "C" ILIKE %(pattern)s)'
)


def _statements(prefix: str) -> dict[str, str]:
    select = f"SELECT {rows.MESSAGE_COLUMNS} FROM "
    message, delivery = f"{prefix}message m", f"{prefix}delivery d"
    by_message = (
        f" AND m.pk > %(low)s AND m.pk < %(before)s{_TEXT} ORDER BY m.pk DESC LIMIT %(limit)s"
    )
    return {
        "all": f"{select}{message} WHERE true{by_message}",
        "sent": (  # why ranges: see history.py
            f"{select}{message} WHERE m.sender >= %(agent)s AND m.sender <= %(agent)s"
            f"{by_message.replace('ORDER BY', 'ORDER BY m.sender DESC,')}"
        ),
        "received": (
            f"{select}{delivery} JOIN {message} ON m.pk = d.message_pk"
            " WHERE d.agent >= %(agent)s AND d.agent <= %(agent)s"
            f" AND d.seq > %(low)s AND d.seq < %(before)s{_TEXT}"
            " ORDER BY d.agent DESC, d.seq DESC LIMIT %(limit)s"
        ),
    }


STATEMENTS: Final = {"live": _statements(""), "archive": _statements("archive_")}
RECIPIENTS: Final = (
    " UNION ALL ".join(
        f"SELECT d.message_pk, d.agent, d.read_at IS NOT NULL FROM {table} d"
        " WHERE d.message_pk = ANY(%(pks)s)"
        for table in ("delivery", "archive_delivery")
    )
    + " ORDER BY message_pk, agent"
)
NEXT: Final = (
    "(SELECT pk, created_at FROM message WHERE pk >= %(pk)s ORDER BY pk LIMIT 1) UNION ALL"
    " (SELECT pk, created_at FROM archive_message WHERE pk >= %(pk)s ORDER BY pk LIMIT 1)"
    " ORDER BY pk LIMIT 1"
)
LOWEST: Final = (
    "SELECT coalesce(least((SELECT min(pk) FROM message), (SELECT min(pk) FROM archive_message)),"
    " 1)"
)
HIGHEST: Final = (
    "SELECT coalesce(greatest((SELECT max(seq) FROM delivery),"
    " (SELECT max(seq) FROM archive_delivery)), 0)"
)


class PostgresIndex:
    """See `agent_bus.store.search.Index`; on one connection, in a snapshot."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._execute = connection.execute

    def highest(self) -> int:
        """The newest delivery's seq."""
        return self._value(HIGHEST)

    def lowest(self) -> int:
        """The oldest message's pk."""
        return self._value(LOWEST)

    def next_message(self, pk: int) -> tuple[int, int] | None:
        """(pk, created_at) of the message with this pk, or of the next one."""
        row = self._execute(NEXT, {"pk": pk}).fetchone()
        return None if row is None else (row[0], row[1])

    def walks(self, name: str, bindings: dict[str, Any]) -> list[list[tuple[Message, bool]]]:
        """Messages of each table, with whether they are archived."""
        asked = [
            (self._execute(of[name], bindings), part == "archive")
            for part, of in STATEMENTS.items()
        ]
        return [[(rows.message(row), where) for row in cursor] for cursor, where in asked]

    def recipients(self, messages: Sequence[Message]) -> dict[int, dict[AgentName, bool]]:
        """Who has read each message."""
        found: dict[int, dict[AgentName, bool]] = defaultdict(dict)
        pks = [message.first_seq for message in messages]
        for pk, agent, is_read in self._execute(RECIPIENTS, {"pks": pks}):
            found[pk][agent] = is_read
        return found

    def _value(self, sql: str) -> int:
        row = self._execute(sql).fetchone()
        assert row is not None
        return int(row[0])


def page(connection: Connection[Any], wanted: SearchSlice) -> SearchPage:
    """One page of what was found; in a snapshot."""
    return search.page(PostgresIndex(connection), wanted)
