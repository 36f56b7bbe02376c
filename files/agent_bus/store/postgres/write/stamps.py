"""Stamps of a batch: one statement per kind, whatever their number."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.model import Stamp
    from agent_bus.core.states import StampKind
    from agent_bus.store.postgres.link.connections import NativeConnection

STAMP_PUSHED: Final = (
    "UPDATE delivery d SET pushed_at = w.at"
    " FROM json_to_recordset(%s::json) AS w(seq bigint, at bigint)"
    " WHERE d.seq = w.seq AND d.pushed_at IS NULL"
)
_REPORTS: Final = (
    " FROM json_to_recordset(%s::json)"
    " AS w(agent text, low bigint, seq bigint, at bigint, reason text)"
)
_SINCE_MARK: Final = (
    f"{_REPORTS} LEFT JOIN mailbox b ON b.agent = w.agent"
    " WHERE d.agent = w.agent AND d.seq > w.low AND d.seq <= w.seq"
)
_WAITING: Final = (
    f"{_REPORTS} WHERE d.agent = w.agent AND d.read_at IS NULL AND d.expired_at IS NULL"
    " AND d.seq > w.low AND d.seq <= w.seq"
)
STAMP_UP_TO: Final[dict[StampKind, str]] = {
    states.RECEIVED: (
        f"UPDATE delivery d SET received_at = w.at{_SINCE_MARK}"
        " AND d.seq > coalesce(b.received_seq, 0) AND d.received_at IS NULL"
    ),
    states.ACCEPTED: (
        f"UPDATE delivery d SET accepted_at = w.at{_SINCE_MARK}"
        " AND d.seq > coalesce(b.accepted_seq, 0) AND d.accepted_at IS NULL"
    ),
    states.FAILED: (
        f"UPDATE delivery d SET wake_failed_at = w.at, wake_failure = w.reason{_WAITING}"
        " AND d.fetched_at IS NULL"
    ),
    states.ESCALATED: (
        f"UPDATE delivery d SET escalated_at = w.at{_WAITING} AND d.escalated_at IS NULL"
    ),
    states.OVERDUE: f"UPDATE delivery d SET overdue_at = w.at{_WAITING} AND d.overdue_at IS NULL",
}
"""Which deliveries a report is about. `received` and `accepted` include those that the agent read
before the report came, hence the mark; the others are only about mail that still waits."""
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

    def __init__(self, wanted: Sequence[Stamp]) -> None:
        self._wanted = wanted

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
