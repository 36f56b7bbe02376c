"""Stamps of a batch: one statement per kind, whatever their number."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import states

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from agent_bus.core.model import Stamp
    from agent_bus.core.states import StampKind, WebhookEvent
    from agent_bus.store.postgres.link.connections import NativeConnection

# What is stamped is found stamp by stamp: OFFSET 0 keeps PostgreSQL from walking over all that has
# no such stamp yet, which is what it would plan on a hub's first day, while there is little.
STAMP_PUSHED: Final = (
    "UPDATE delivery d SET pushed_at = w.at FROM (SELECT o.seq, w.at"
    " FROM json_to_recordset(%s::json) AS w(seq bigint, at bigint) CROSS JOIN LATERAL ("
    "SELECT o.seq FROM delivery o WHERE o.seq = w.seq AND o.pushed_at IS NULL OFFSET 0) o) w"
    " WHERE d.seq = w.seq"
)


def _reported(stamped: str, where: str, mark: str = "") -> str:
    return (
        f"UPDATE delivery d SET {stamped} FROM (SELECT o.seq, w.at, w.reason"
        " FROM json_to_recordset(%s::json)"
        f" AS w(agent text, low bigint, seq bigint, at bigint, reason text){mark}"
        f" CROSS JOIN LATERAL (SELECT o.seq FROM delivery o WHERE {where} OFFSET 0) o) w"
        " WHERE d.seq = w.seq"
    )


def _since(mark: str) -> str:
    """Pairs of agent and seq: only the index of both knows their order."""
    return (
        f"o.agent = w.agent AND (o.agent, o.seq) > (w.agent, greatest(w.low, b.{mark}))"
        " AND (o.agent, o.seq) <= (w.agent, w.seq)"
    )


_MARK: Final = " LEFT JOIN mailbox b ON b.agent = w.agent"
_WAITS: Final = (
    # By the index of unread mail; `+ 0` hides the seqs from the primary key, which has all mail.
    "o.agent = w.agent AND o.read_at IS NULL AND o.expired_at IS NULL"
    " AND o.seq + 0 > w.low AND o.seq + 0 <= w.seq"
)
STAMP_UP_TO: Final[dict[StampKind, str]] = {
    states.RECEIVED: _reported(
        "received_at = w.at", f"{_since('received_seq')} AND o.received_at IS NULL", _MARK
    ),
    states.ACCEPTED: _reported(
        "accepted_at = w.at", f"{_since('accepted_seq')} AND o.accepted_at IS NULL", _MARK
    ),
    states.FAILED: _reported(
        "wake_failed_at = w.at, wake_failure = w.reason", f"{_WAITS} AND o.fetched_at IS NULL"
    ),
    states.ESCALATED: _reported("escalated_at = w.at", f"{_WAITS} AND o.escalated_at IS NULL"),
    states.OVERDUE: _reported("overdue_at = w.at", f"{_WAITS} AND o.overdue_at IS NULL"),
}
"""Which deliveries a report is about. `received` and `accepted` include those that the agent read
before the report came, hence the mark; the others are only about mail that still waits."""
NOTE_OVERDUE: Final = (
    "INSERT INTO webhook_stamp (kind, seq, agent, at)"
    f" SELECT '{states.OVERDUE}', o.seq, o.agent, w.at FROM json_to_recordset(%s::json)"
    " AS w(agent text, low bigint, seq bigint, at bigint, reason text)"
    " CROSS JOIN LATERAL (SELECT o.seq, o.agent, o.rank FROM delivery o"
    f" WHERE {_WAITS} AND o.overdue_at IS NULL OFFSET 0) o ORDER BY o.rank, o.seq"
)
_HIGHEST: Final = (
    " FROM (SELECT agent, max(seq) AS seq FROM json_to_recordset(%s::json)"
    " AS w(agent text, seq bigint) GROUP BY agent) w WHERE b.agent = w.agent"
)
MOVE_MARK: Final[dict[StampKind, str]] = {
    states.RECEIVED: (
        f"UPDATE mailbox b SET received_seq = greatest(b.received_seq, w.seq){_HIGHEST}"
    ),
    states.ACCEPTED: (
        f"UPDATE mailbox b SET accepted_seq = greatest(b.accepted_seq, w.seq){_HIGHEST}"
    ),
}


class Stamps:
    """All stamps of a batch; nobody waits for them, and no other hub is told."""

    def __init__(self, wanted: Sequence[Stamp], noted: Container[WebhookEvent] = ()) -> None:
        self._wanted = wanted
        self._is_overdue_noted = states.OVERDUE in noted

    def write(self, connection: NativeConnection) -> None:
        """Record the times: pushes of single deliveries, and reports about all up to a seq."""
        pushed: dict[int, int] = {}
        kinds: dict[StampKind, list[Stamp]] = defaultdict(list)
        for one in self._wanted:
            if one.up_to:
                kinds[one.kind].append(one)
            else:
                pushed.setdefault(one.seq, one.at)
        if pushed:
            document = [{"seq": seq, "at": at} for seq, at in pushed.items()]
            connection.execute(STAMP_PUSHED, (json.dumps(document),))
        for kind, stamps in kinds.items():
            text = json.dumps(ranges(kind, stamps))
            if kind == states.OVERDUE and self._is_overdue_noted:
                connection.execute(NOTE_OVERDUE, (text,))
            connection.execute(STAMP_UP_TO[kind], (text,))
            if kind in MOVE_MARK:
                connection.execute(MOVE_MARK[kind], (text,))


def ranges(kind: StampKind, stamps: Sequence[Stamp]) -> list[dict[str, Any]]:
    """Reports of one kind as ranges of seqs that do not overlap, per agent.

    The first report about a delivery counts; of failures the last one.
    """
    in_turn = reversed(stamps) if kind == states.FAILED else stamps
    highest: dict[str, int] = {}
    found: list[dict[str, Any]] = []
    for one in in_turn:
        low = highest.get(one.agent, 0)
        if one.seq > low:
            highest[one.agent] = one.seq
            found.append(
                {
                    "agent": one.agent,
                    "low": low,
                    "seq": one.seq,
                    "at": one.at,
                    "reason": one.reason,
                }
            )
    return found
