"""Pauses and counts of wakes in PostgreSQL: see `store/guards/wake_book.py`.

A pause is told to all hubs in the transaction that keeps it: `cluster/statements.py` has its SQL.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from agent_bus.core.guards.hold import FAR_AT
from agent_bus.core.guards.pauses import AGENT, Pause
from agent_bus.core.guards.wakes import (
    COUNTS_KEPT_MS,
    HOUR_MS,
    MINUTE_MS,
    MINUTES_KEPT_MS,
    WakeCount,
)
from agent_bus.core.model import AgentName
from agent_bus.store import cluster as told
from agent_bus.store.postgres.write.transaction import Applied

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.guards.pauses import Scope
    from agent_bus.core.guards.wakes import Wake
    from agent_bus.store.cluster import Cluster
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.link.pool import Readers
    from agent_bus.store.postgres.write.writer import Writer

PAUSES: Final = (
    "SELECT scope, name, reason, since_at, until_at, note FROM hold h WHERE reason <> 'muted'"
    " OR EXISTS (SELECT 1 FROM mute m WHERE m.agent = h.name) ORDER BY scope, name"
)
"""A hub of an earlier release knows the table `mute` only, and ends a mute there."""
FORGET_PAUSES: Final = "DELETE FROM hold WHERE until_at <= %s"
COUNT: Final = (
    "INSERT INTO wake_count (slot_at, agent, sender, kind, count) VALUES (%s, %s, coalesce("
    "(SELECT sender FROM delivery WHERE seq = %s),"
    " (SELECT sender FROM archive_delivery WHERE seq = %s), ''), %s, 1)"
    " ON CONFLICT (slot_at, agent, sender, kind) DO UPDATE SET count = wake_count.count + 1"
)
COUNTS: Final = (
    "SELECT slot_at, agent, sender, kind, count FROM wake_count WHERE slot_at >= %s"
    " ORDER BY slot_at, agent, sender, kind"
)
MERGE: Final = (
    "WITH gone AS (DELETE FROM wake_count WHERE slot_at >= %s AND slot_at < %s"
    f" AND slot_at %% {HOUR_MS} > 0 RETURNING slot_at, agent, sender, kind, count)"
    " INSERT INTO wake_count (slot_at, agent, sender, kind, count)"
    f" SELECT slot_at - slot_at %% {HOUR_MS}, agent, sender, kind, sum(count) FROM gone"
    " GROUP BY 1, 2, 3, 4 ON CONFLICT (slot_at, agent, sender, kind)"
    " DO UPDATE SET count = wake_count.count + excluded.count"
)
DROP_COUNTS: Final = "DELETE FROM wake_count WHERE slot_at < %s"


class PostgresWakeBook:
    """See `agent_bus.store.guards.wake_book.WakeBook`."""

    def __init__(self, *, readers: Readers, writer: Writer, cluster: Cluster) -> None:
        self._readers = readers
        self._writer = writer
        self._cluster = cluster

    def pauses(self) -> list[Pause]:
        """All pauses."""
        return self._readers.run(lambda c: [Pause(*row) for row in c.execute(PAUSES)])

    def put_pause(self, pause: Pause) -> None:
        """Keep a pause; hubs of an earlier release take that of an agent for a mute."""
        facts: list[told.Fact] = [told.PausePut(**asdict(pause))]
        if pause.scope == AGENT:
            until_at = FAR_AT if pause.until_at is None else pause.until_at
            facts.append(told.Muted(AgentName(pause.name), until_at, is_pause=True))
        self._cluster.assure(*facts)

    def end_pause(self, scope: Scope, name: str) -> None:
        """Forget a pause."""
        facts: list[told.Fact] = [told.PauseEnded(scope, name)]
        if scope == AGENT:
            facts.append(told.Muted(AgentName(name), 0, is_pause=True))
        self._cluster.assure(*facts)

    def note(self, wakes: Sequence[Wake]) -> None:
        """Count wakes; nobody waits."""

        def apply(connection: NativeConnection) -> None:
            for wake in wakes:
                slot_at = wake.at - wake.at % MINUTE_MS
                row = (slot_at, wake.agent, wake.seq, wake.seq, wake.kind)
                connection.execute(COUNT, row)

        self._writer.post(Applied(apply, is_quick=True))

    def counts(self, *, since: int) -> list[WakeCount]:
        """Counts since a time."""
        return self._readers.run(
            lambda c: [WakeCount(*row) for row in c.execute(COUNTS, (since,))]
        )

    def tidy(self, *, now: int) -> None:
        """Merge and drop; nobody waits."""
        until = (now - MINUTES_KEPT_MS) // HOUR_MS * HOUR_MS

        def apply(connection: NativeConnection) -> None:
            connection.execute(MERGE, (until - MINUTES_KEPT_MS, until))
            connection.execute(DROP_COUNTS, (now - COUNTS_KEPT_MS,))
            connection.execute(FORGET_PAUSES, (now,))

        self._writer.post(Applied(apply))
