"""What the dashboard's search asks of SQLite; `store/search.py` says how it is joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.store import rows, search

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

    from agent_bus.core.model import AgentName, Message, SearchPage
    from agent_bus.core.slices import SearchSlice

_TEXT: Final = (
    " AND (:pattern IS NULL OR m.body LIKE :pattern ESCAPE '\\'"
    " OR m.subject LIKE :pattern ESCAPE '\\')"
)


def _statements(prefix: str) -> dict[str, str]:
    select = f"SELECT {rows.MESSAGE_COLUMNS} FROM "
    message, delivery = f"{prefix}message m", f"{prefix}delivery d"
    rank = "" if prefix else " AND d.rank = :rank"
    by_message = f"m.pk > :low AND m.pk < :before{_TEXT} ORDER BY m.pk DESC LIMIT :limit"
    return {
        "all": f"{select}{message} WHERE {by_message}",
        "sent": f"{select}{message} WHERE m.sender = :agent AND {by_message}",
        "received": (
            f"{select}{delivery} JOIN {message} ON m.pk = d.message_pk WHERE d.agent = :agent"
            f"{rank} AND d.seq > :low AND d.seq < :before{_TEXT} ORDER BY d.seq DESC LIMIT :limit"
        ),
        "recipients": (
            f"SELECT d.agent, d.read_at IS NOT NULL FROM {delivery} WHERE d.message_pk = ?"
        ),
        "next": f"SELECT pk, created_at FROM {prefix}message WHERE pk >= ? ORDER BY pk LIMIT 1",
        "lowest": f"SELECT min(pk) FROM {prefix}message",
        "highest": f"SELECT max(seq) FROM {prefix}delivery",
    }


STATEMENTS: Final = {"live": _statements(""), "archive": _statements("archive_")}


class SqliteIndex:
    """See `agent_bus.store.search.Index`; on one connection.

    The live tables are always read first: a message that is archived in between is found twice,
    never missed.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def highest(self) -> int:
        """The newest delivery's seq."""
        return max(self._values("highest"), default=0)

    def lowest(self) -> int:
        """The oldest message's pk."""
        return min(self._values("lowest"), default=1)

    def next_message(self, pk: int) -> tuple[int, int] | None:
        """(pk, created_at) of the message with this pk, or of the next one."""
        found = [(row[0], row[1]) for of in _each("next") for row in self._execute(of, (pk,))]
        return min(found, default=None)

    def walks(self, name: str, bindings: dict[str, Any]) -> list[list[tuple[Message, bool]]]:
        """Messages of each table, with whether they are archived; live ones rank by rank."""
        return [
            [
                (rows.message(row), part == "archive")
                for row in self._execute(of[name], {**bindings, "rank": rank})
            ]
            for part, of in STATEMENTS.items()
            for rank in (rows.RANKS if part == "live" and name == "received" else (None,))
        ]

    def recipients(self, messages: Sequence[Message]) -> dict[int, dict[AgentName, bool]]:
        """Who has read each message, live or archived by now."""
        return {
            message.first_seq: {
                agent: bool(read)
                for of in _each("recipients")
                for agent, read in self._execute(of, (message.first_seq,))
            }
            for message in messages
        }

    def _values(self, name: str) -> list[int]:
        found = (next(iter(self._execute(of)))[0] for of in _each(name))
        return [value for value in found if value is not None]


def page(connection: apsw.Connection, wanted: SearchSlice) -> SearchPage:
    """One page of what was found."""
    return search.page(SqliteIndex(connection), wanted)


def _each(name: str) -> Iterable[str]:
    return (of[name] for of in STATEMENTS.values())
