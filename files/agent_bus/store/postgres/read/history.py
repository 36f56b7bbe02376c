"""History: messages that an agent sent or received, by seq, in both directions.

Every query walks one index from the cursor on; what an agent sent and what it received are two
walks, merged. Direction and table are part of the SQL text, so the statements are in dictionaries
that a test can go through.

`x >= a AND x <= a ORDER BY x, seq` says `x = a ORDER BY seq` in words that only the index of x and
seq can answer. Otherwise PostgreSQL may walk over everybody's mail by the primary key, which is a
long way for an agent with little mail.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from agent_bus.store import rows

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

    from agent_bus.core.model import Delivery, Message
    from agent_bus.core.slices import HistorySlice

_RANGE: Final = (
    " AND (%(since)s::bigint IS NULL OR m.created_at >= %(since)s)"
    " AND (%(until)s::bigint IS NULL OR m.created_at < %(until)s)"
    " AND (%(thread)s::text IS NULL OR m.thread_id = %(thread)s)"
)


def _statements(prefix: str, order: str) -> dict[str, str]:
    step = ">" if order == "ASC" else "<"
    select = f"SELECT {rows.MESSAGE_COLUMNS} FROM "
    message, delivery = f"{prefix}message m", f"{prefix}delivery d"
    joined = f"{delivery} JOIN {message} ON m.pk = d.message_pk"
    by_message = f" AND m.pk {step} %(after)s{_RANGE} ORDER BY m.pk {order} LIMIT %(limit)s"
    by_delivery = (
        f" AND d.seq {step} %(after)s AND d.message_pk {step} %(after)s{_RANGE}"
        f" ORDER BY d.seq {order} LIMIT %(limit)s"
    )
    return {
        "all": f"{select}{message} WHERE true{by_message}",
        "thread": f"{select}{message} WHERE m.thread_id = %(thread)s{by_message}",
        "sent": (
            f"{select}{message} WHERE m.sender >= %(agent)s AND m.sender <= %(agent)s"
            f"{by_message.replace('ORDER BY', f'ORDER BY m.sender {order},')}"
        ),
        "received": (
            f"{select}{joined} WHERE d.agent >= %(agent)s AND d.agent <= %(agent)s"
            f"{by_delivery.replace('ORDER BY', f'ORDER BY d.agent {order},')}"
        ),
        "pair": f"{select}{joined} WHERE d.agent = %(to)s AND d.sender = %(sender)s{by_delivery}",
    }


STATEMENTS: Final = {
    (archived, order): _statements("archive_" if archived else "", order)
    for archived in (False, True)
    for order in ("ASC", "DESC")
}
DELIVERIES: Final = {
    archived: (
        f"SELECT d.message_pk, {rows.DELIVERY_COLUMNS}"
        f" FROM {'archive_' if archived else ''}delivery d"
        " WHERE d.message_pk = ANY(%s)"
    )
    for archived in (False, True)
}
NEWEST: Final = 1 << 62
"""Above every seq: a walk into the past begins here."""


def page(
    connection: Connection[Any], wanted: HistorySlice
) -> list[tuple[Message, list[Delivery]]]:
    """One page of the past; in a snapshot."""
    ascending, agent, partner = wanted.ascending, wanted.agent, wanted.partner
    sql = STATEMENTS[wanted.archived, "ASC" if ascending else "DESC"]
    start = 0 if ascending else NEWEST
    bindings: dict[str, Any] = {
        "since": wanted.since,
        "until": wanted.until,
        "thread": wanted.thread,
        "after": start if wanted.after is None else wanted.after,
        "limit": wanted.limit,
    }

    def walk(name: str, **more: object) -> Cursor[Any]:
        return connection.execute(sql[name], {**bindings, **more})

    if agent is None:
        walks = [walk("thread" if wanted.thread else "all")]
    elif partner is not None:
        walks = [
            walk("pair", to=agent, sender=partner),
            walk("pair", to=partner, sender=agent),
        ]
    else:
        walks = [walk("sent", agent=agent), walk("received", agent=agent)]
    each = [[rows.message(row) for row in found] for found in walks]
    merged = heapq.merge(*each, key=lambda m: m.first_seq, reverse=not ascending)
    distinct = {m.first_seq: m for m in merged}
    messages = list(distinct.values())[: wanted.limit]
    of: dict[int, list[Delivery]] = defaultdict(list)
    for pk, *row in connection.execute(
        DELIVERIES[wanted.archived], ([m.first_seq for m in messages],)
    ):
        of[pk].append(rows.delivery(row, distinct[pk]))
    return [(m, sorted(of[m.first_seq], key=lambda d: d.seq)) for m in messages]
