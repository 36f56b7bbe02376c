"""What the dashboard keeps and asks: see `contract.Records`.

Reads run in a reader's native thread, writes in the writer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.model import AuditEntry, Crossing, Flow, Flows, Session
from agent_bus.store import contract
from agent_bus.store.postgres.read import search
from agent_bus.store.postgres.read.search import PostgresIndex
from agent_bus.store.postgres.read.snapshot import snapshot
from agent_bus.store.search import first_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from agent_bus.core.model import AgentName, SearchPage
    from agent_bus.core.slices import SearchSlice
    from agent_bus.store.postgres.link.pool import Readers
    from agent_bus.store.postgres.write.writer import Writer

SESSIONS: Final = "SELECT sha256, token_sha256, expires_at FROM session WHERE expires_at > %s"
KEEP_SESSION: Final = "INSERT INTO session (sha256, token_sha256, expires_at) VALUES (%s, %s, %s)"
DROP_SESSION: Final = "DELETE FROM session WHERE sha256 = %s OR expires_at <= %s"
KEEP_AUDIT: Final = (
    "INSERT INTO audit (at, address, way, action, agent, detail, outcome)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s)"
)
DROP_AUDIT: Final = "DELETE FROM audit WHERE pk <= (SELECT max(pk) FROM audit) - %s"
AUDIT: Final = (
    "SELECT at, address, way, action, agent, detail, outcome FROM audit ORDER BY pk DESC LIMIT %s"
)
FLOWS: Final = (
    "SELECT sender, agent, count(*) FROM ("
    "SELECT sender, agent FROM delivery WHERE seq >= %(low)s"
    " UNION ALL SELECT sender, agent FROM archive_delivery WHERE seq >= %(low)s) AS each"
    " GROUP BY sender, agent ORDER BY sender, agent"
)
_CROSSING: Final = (
    "SELECT d.agent, m.created_at, d.pushed_at, d.received_at, d.accepted_at, d.fetched_at,"
    " d.read_at FROM "
)
HOPS: Final = (
    f"{_CROSSING}delivery d JOIN message m ON m.pk = d.message_pk WHERE d.seq > %s ORDER BY d.seq"
)
HOPS_OF: Final = (
    f"{_CROSSING}unnest(%(agents)s::text[]) AS a(name) CROSS JOIN LATERAL ("
    "SELECT o.* FROM delivery o WHERE o.agent >= a.name AND o.agent <= a.name"  # see history.py
    " ORDER BY o.agent DESC, o.seq DESC LIMIT %(share)s) AS d"
    " JOIN message m ON m.pk = d.message_pk ORDER BY m.created_at"
)


class PostgresRecords:
    """Shares the connections of the store that it belongs to."""

    def __init__(self, *, readers: Readers, writer: Writer) -> None:
        self._readers = readers
        self._writer = writer

    def sessions(self, *, steady: int) -> list[Session]:
        """All sessions that have not expired."""
        return self._readers.run(lambda c: [Session(*r) for r in c.execute(SESSIONS, (steady,))])

    def keep_session(self, session: Session) -> None:
        """Keep a new session."""
        row = (session.sha256, session.token_sha256, session.expires_at)
        self._writer.run(lambda c: c.execute(KEEP_SESSION, row))

    def drop_session(self, sha256: str, *, steady: int) -> None:
        """End a session, and forget those that have expired."""
        self._writer.run(lambda c: c.execute(DROP_SESSION, (sha256, steady)))

    def log(self, entry: AuditEntry) -> None:
        """Keep who did what."""
        detail = json.dumps(entry.detail, ensure_ascii=False)
        row = (
            entry.at, entry.address, entry.way, entry.action, entry.agent, detail, entry.outcome
        )  # fmt: skip

        def apply(connection: Connection[Any]) -> None:
            connection.execute(KEEP_AUDIT, row)
            connection.execute(DROP_AUDIT, (contract.AUDIT_KEPT,))

        self._writer.run(apply)

    def audit(self, *, limit: int) -> list[AuditEntry]:
        """What was done by hand, newest first."""
        return self._readers.run(
            lambda c: [
                AuditEntry(at, address, way, action, agent, json.loads(detail), outcome)
                for at, address, way, action, agent, detail, outcome in c.execute(AUDIT, (limit,))
            ]
        )

    def search(self, wanted: SearchSlice) -> SearchPage:
        """A page of what a search finds, newest first."""
        return self._readers.run(lambda c: snapshot(c, lambda same: search.page(same, wanted)))

    def flows(self, *, since: int) -> Flows:
        """How many deliveries each pair of agents had since a time, archived ones included."""

        def read(connection: Connection[Any]) -> Flows:
            index = PostgresIndex(connection)
            wanted = first_at(index, since)
            low = max(wanted, index.highest() - contract.FLOW_SEQS)
            flows = [Flow(*row) for row in connection.execute(FLOWS, {"low": low})]
            first = index.next_message(low) if low > wanted else None
            return Flows(flows, since=None if first is None else first[1])

        return self._readers.run(lambda c: snapshot(c, read))

    def crossings(self, *, head: int) -> list[Crossing]:
        """When the newest deliveries reached each hop, oldest first."""
        return self._readers.run(
            lambda c: [Crossing(*row) for row in c.execute(HOPS, (head - contract.CROSSINGS,))]
        )

    def crossings_of(self, agents: Sequence[AgentName]) -> list[Crossing]:
        """When the newest deliveries of some agents reached each hop, oldest first."""
        bindings = {"agents": list(agents), "share": contract.CROSSINGS // max(1, len(agents))}
        return self._readers.run(
            lambda c: [Crossing(*row) for row in c.execute(HOPS_OF, bindings)]
        )
