"""History: messages that an agent sent or received, by seq, in both directions.

Every query walks one index from the cursor on; what an agent sent and what it received are several
walks, merged: live deliveries have one walk for each rank. Direction and table are part of the SQL
text, so the statements are in dictionaries that a test can go through.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final

from agent_bus.store import rows
from agent_bus.store.sqlite.write import sends

if TYPE_CHECKING:
    import apsw

    from agent_bus.core.model import Delivery, Message
    from agent_bus.core.slices import HistorySlice

_RANGE: Final = (
    " AND (:since IS NULL OR m.created_at >= :since) AND (:until IS NULL OR m.created_at < :until)"
    " AND (:thread IS NULL OR m.thread_id = :thread)"
)


def _statements(prefix: str, order: str) -> dict[str, str]:
    step = ">" if order == "ASC" else "<"
    select = f"SELECT {rows.MESSAGE_COLUMNS} FROM "
    message, delivery = f"{prefix}message m", f"{prefix}delivery d"
    joined = f"{delivery} JOIN {message} ON m.pk = d.message_pk"
    by_message = f"{_RANGE} ORDER BY m.pk {order} LIMIT :limit"
    rank = "" if prefix else " AND d.rank = :rank"
    by_delivery = f"{rank}{_RANGE} ORDER BY d.seq {order} LIMIT :limit"
    return {
        "all": f"{select}{message} WHERE m.pk {step} :after{by_message}",
        "thread": (
            f"{select}{message} WHERE m.thread_id = :thread AND m.pk {step} :after{by_message}"
        ),
        "sent": f"{select}{message} WHERE m.sender = :agent AND m.pk {step} :after{by_message}",
        "received": (
            f"{select}{joined} WHERE d.agent = :agent AND d.seq {step} :after"
            f" AND d.message_pk {step} :after{by_delivery}"
        ),
        "pair": (
            f"{select}{joined} WHERE d.agent = :to AND d.sender = :sender AND d.seq {step} :after"
            f" AND d.message_pk {step} :after{by_delivery}"
        ),
    }


STATEMENTS: Final = {
    (archived, order): _statements("archive_" if archived else "", order)
    for archived in (False, True)
    for order in ("ASC", "DESC")
}


NEWEST: Final = 1 << 62
"""Above every seq: a walk into the past begins here."""


def page(
    connection: apsw.Connection, wanted: HistorySlice
) -> list[tuple[Message, list[Delivery]]]:
    """One page of the past."""
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
    ranks = (None,) if wanted.archived else rows.RANKS
    walks: list[list[Message]] = []

    def walk(name: str, **more: object) -> None:
        for rank in ranks if name in {"received", "pair"} else (None,):
            found = connection.execute(sql[name], {**bindings, **more, "rank": rank})
            walks.append([rows.message(row) for row in found])

    if agent is None:
        walk("thread" if wanted.thread else "all")
    elif partner is not None:
        walk("pair", to=agent, sender=partner)
        walk("pair", to=partner, sender=agent)
    else:
        walk("sent", agent=agent)
        walk("received", agent=agent)
    merged = heapq.merge(*walks, key=lambda m: m.first_seq, reverse=not ascending)
    distinct = list({m.first_seq: m for m in merged}.values())[: wanted.limit]
    of = sends.ARCHIVED_DELIVERIES_OF if wanted.archived else sends.DELIVERIES_OF
    return [
        (m, [rows.delivery(row, m) for row in connection.execute(of, (m.first_seq,))])
        for m in distinct
    ]
