"""Search for the dashboard: live and archived messages together, newest first.

Both tables share one order of keys, so a page merges walks down the indexes of each; the archive
costs two more walks. A search for text looks through a bounded range at a time.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.model import Found, SearchPage
from agent_bus.store import rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from agent_bus.core.model import AgentName, Message
    from agent_bus.core.slices import SearchSlice

SEARCH_SEQS: Final = 20_000
"""Seqs that one search for text looks through: about 20 ms with bodies of 1,000 bytes. The page
says how far it has looked, and goes on from there."""

_TEXT: Final = (
    " AND (:pattern IS NULL OR m.body LIKE :pattern ESCAPE '\\'"
    " OR m.subject LIKE :pattern ESCAPE '\\')"
)


def _statements(prefix: str) -> dict[str, str]:
    select = f"SELECT {rows.MESSAGE_COLUMNS} FROM "
    message, delivery = f"{prefix}message m", f"{prefix}delivery d"
    by_message = f"m.pk > :low AND m.pk < :before{_TEXT} ORDER BY m.pk DESC LIMIT :limit"
    return {
        "all": f"{select}{message} WHERE {by_message}",
        "sent": f"{select}{message} WHERE m.sender = :agent AND {by_message}",
        "received": (
            f"{select}{delivery} JOIN {message} ON m.pk = d.message_pk WHERE d.agent = :agent"
            f" AND d.seq > :low AND d.seq < :before{_TEXT} ORDER BY d.seq DESC LIMIT :limit"
        ),
        "recipients": (
            f"SELECT d.agent, d.read_at IS NOT NULL FROM {delivery} WHERE d.message_pk = ?"
        ),
        "next": f"SELECT pk, created_at FROM {prefix}message WHERE pk >= ? ORDER BY pk LIMIT 1",
        "lowest": f"SELECT min(pk) FROM {prefix}message",
        "highest": f"SELECT max(seq) FROM {prefix}delivery",
    }


STATEMENTS: Final = {"live": _statements(""), "archive": _statements("archive_")}
"""Read in this order: a message that is archived in between is found twice, never missed."""


def page(connection: apsw.Connection, wanted: SearchSlice) -> SearchPage:
    """One page of what was found."""
    until, since, text, limit = wanted.until, wanted.since, wanted.text, wanted.limit
    upper = highest(connection) + 1 if until is None else first_at(connection, until)
    upper = upper if wanted.before is None else min(upper, wanted.before)
    floor = (_lowest(connection) if since is None else first_at(connection, since)) - 1
    low = floor if text is None else max(floor, upper - SEARCH_SEQS - 1)
    bindings: dict[str, Any] = {
        "agent": wanted.agent,
        "pattern": None if text is None else pattern_of(text),
        "low": low,
        "before": upper,
        "limit": limit,
    }
    names = ("all",) if wanted.agent is None else ("sent", "received")
    found = _merged(connection, names, bindings)[:limit]
    full = len(found) == limit
    more = found[-1][0].first_seq if full else (low + 1 if low > floor else None)
    reached = None if full or more is None else next_message(connection, more)
    return SearchPage(
        messages=[Found(m, _recipients(connection, m), is_archived) for m, is_archived in found],
        before=more,
        is_cut=not full and more is not None,
        reached_at=None if reached is None else reached[1],
    )


def pattern_of(text: str) -> str:
    r"""A LIKE pattern that finds `text` literally, with `%`, `_` and `\` in it."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def first_at(connection: apsw.Connection, at: int) -> int:
    """The pk of the first message created at or after a time; past the last when there is none.

    Messages are in the order of their commits, so their times grow, and halving finds the place
    without an index. Where the wall clock once jumped back, the place is off by that much.
    """
    low, high = 0, highest(connection) + 1
    while low < high:
        middle = (low + high) // 2
        found = next_message(connection, middle)
        if found is None or found[1] >= at:
            high = middle
        else:
            low = found[0] + 1
    return low


def next_message(connection: apsw.Connection, pk: int) -> tuple[int, int] | None:
    """(pk, created_at) of the message with this pk, or of the next one."""
    found = [(row[0], row[1]) for sql in _each("next") for row in connection.execute(sql, (pk,))]
    return min(found, default=None)


def highest(connection: apsw.Connection) -> int:
    """The newest delivery's seq, 0 without one; no message's pk is above it."""
    return max(_values(connection, "highest"), default=0)


def _lowest(connection: apsw.Connection) -> int:
    return min(_values(connection, "lowest"), default=1)


def _values(connection: apsw.Connection, name: str) -> Iterable[int]:
    found = (next(iter(connection.execute(sql)))[0] for sql in _each(name))
    return [value for value in found if value is not None]


def _each(name: str) -> Iterable[str]:
    return (of[name] for of in STATEMENTS.values())


def _merged(
    connection: apsw.Connection, names: Iterable[str], bindings: dict[str, Any]
) -> list[tuple[Message, bool]]:
    """Distinct messages of all walks, newest first, each with whether it is archived."""
    walks = [
        [(rows.message(row), part == "archive") for row in connection.execute(of[name], bindings)]
        for part, of in STATEMENTS.items()
        for name in names
    ]
    merged = heapq.merge(*walks, key=lambda one: one[0].first_seq, reverse=True)
    return list({message.first_seq: (message, where) for message, where in merged}.values())


def _recipients(connection: apsw.Connection, of: Message) -> dict[AgentName, bool]:
    """Recipient -> whether it has read the message, live or archived by now."""
    return {
        agent: bool(read)
        for sql in _each("recipients")
        for agent, read in connection.execute(sql, (of.first_seq,))
    }
