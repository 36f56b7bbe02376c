"""Search for the dashboard: live and archived messages together, newest first.

Both tables share one order of keys, so a page merges walks down the indexes of each; the archive
costs two more walks. A search for text looks through a bounded range at a time.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.model import Found, SearchPage
from agent_bus.store import rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg import Connection

    from agent_bus.core.model import AgentName, Message
    from agent_bus.core.slices import SearchSlice

SEARCH_SEQS: Final = 20_000
"""Seqs that one search for text looks through. The page says how far it has looked, and goes on
from there."""

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


def page(connection: Connection[Any], wanted: SearchSlice) -> SearchPage:
    """One page of what was found; in a snapshot."""
    until, since, text, limit = wanted.until, wanted.since, wanted.text, wanted.limit
    upper = highest(connection) + 1 if until is None else first_at(connection, until)
    upper = upper if wanted.before is None else min(upper, wanted.before)
    floor = (_value(connection, LOWEST) if since is None else first_at(connection, since)) - 1
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
    recipients = _recipients(connection, [m.first_seq for m, _ in found])
    return SearchPage(
        messages=[Found(m, recipients[m.first_seq], is_archived) for m, is_archived in found],
        before=more,
        is_cut=not full and more is not None,
        reached_at=None if reached is None else reached[1],
    )


def pattern_of(text: str) -> str:
    r"""A LIKE pattern that finds `text` literally, with `%`, `_` and `\` in it."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def first_at(connection: Connection[Any], at: int) -> int:
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


def next_message(connection: Connection[Any], pk: int) -> tuple[int, int] | None:
    """(pk, created_at) of the message with this pk, or of the next one."""
    row = connection.execute(NEXT, {"pk": pk}).fetchone()
    return None if row is None else (row[0], row[1])


def highest(connection: Connection[Any]) -> int:
    """The newest delivery's seq, 0 without one; no message's pk is above it."""
    return _value(connection, HIGHEST)


def _value(connection: Connection[Any], sql: str) -> int:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


def _merged(
    connection: Connection[Any], names: Iterable[str], bindings: dict[str, Any]
) -> list[tuple[Message, bool]]:
    """Distinct messages of all walks, newest first, each with whether it is archived."""
    asked = [
        (connection.execute(of[name], bindings), part == "archive")
        for part, of in STATEMENTS.items()
        for name in names
    ]
    walks = [[(rows.message(row), where) for row in cursor] for cursor, where in asked]
    merged = heapq.merge(*walks, key=lambda one: one[0].first_seq, reverse=True)
    return list({message.first_seq: (message, where) for message, where in merged}.values())


def _recipients(
    connection: Connection[Any], pks: Sequence[int]
) -> dict[int, dict[AgentName, bool]]:
    """Message -> recipient -> whether it has read the message."""
    found: dict[int, dict[AgentName, bool]] = defaultdict(dict)
    for pk, agent, is_read in connection.execute(RECIPIENTS, {"pks": list(pks)}):
        found[pk][agent] = is_read
    return found
