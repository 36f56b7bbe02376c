"""What the dashboard keeps and asks: see `contract.Records`.

Reads run in a reader's native thread, writes in the writer.
"""

from __future__ import annotations

import heapq
import itertools
import json
import operator
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.model import AgentName, AuditEntry, Crossing, Flow, Flows, Session
from agent_bus.store import contract, rows
from agent_bus.store.search import first_at
from agent_bus.store.sqlite.read import search
from agent_bus.store.sqlite.read.search import SqliteIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from agent_bus.core.model import SearchPage
    from agent_bus.core.slices import SearchSlice
    from agent_bus.runtime.greenlets import ThreadedPool
    from agent_bus.store.sqlite.write.writer import Writer

SESSIONS: Final = "SELECT sha256, token_sha256, expires_at FROM session WHERE expires_at > ?"
KEEP_SESSION: Final = "INSERT INTO session (sha256, token_sha256, expires_at) VALUES (?, ?, ?)"
DROP_SESSION: Final = "DELETE FROM session WHERE sha256 = ? OR expires_at <= ?"
KEEP_AUDIT: Final = (
    "INSERT INTO audit (at, address, way, action, agent, detail, outcome)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
DROP_AUDIT: Final = "DELETE FROM audit WHERE pk <= (SELECT max(pk) FROM audit) - ?"
AUDIT: Final = (
    "SELECT at, address, way, action, agent, detail, outcome FROM audit ORDER BY pk DESC LIMIT ?"
)
FLOWS: Final = tuple(
    # The planner would walk the index of all pairs instead of the range of seqs.
    f"SELECT d.sender, d.agent, count(*) FROM {table} d NOT INDEXED WHERE d.seq >= ?"
    " GROUP BY d.sender, d.agent"
    for table in ("delivery", "archive_delivery")
)
_CROSSING: Final = (
    "SELECT d.agent, m.created_at, d.pushed_at, d.received_at, d.accepted_at, d.fetched_at,"
    " d.read_at"
)
HOPS: Final = (
    f"{_CROSSING} FROM delivery d NOT INDEXED JOIN message m ON m.pk = d.message_pk"
    " WHERE d.seq > ?"
)
HOPS_OF: Final = (
    f"{_CROSSING}, d.seq FROM delivery d JOIN message m ON m.pk = d.message_pk"
    " WHERE d.agent = ? AND d.rank = ? ORDER BY d.seq DESC LIMIT ?"
)


class SqliteRecords:
    """Shares the connections of the store that it belongs to."""

    def __init__(self, *, readers: ThreadedPool[apsw.Connection], writer: Writer) -> None:
        self._readers = readers
        self._writer = writer

    def sessions(self, *, steady: int) -> list[Session]:
        """All sessions that have not expired."""
        return self._readers.run(lambda c: [Session(*r) for r in c.execute(SESSIONS, (steady,))])

    def keep_session(self, session: Session) -> None:
        """Keep a new session."""
        row = (session.sha256, session.token_sha256, session.expires_at)
        self._writer.run(lambda c: c.execute(KEEP_SESSION, row).fetchall())

    def drop_session(self, sha256: str, *, steady: int) -> None:
        """End a session, and forget those that have expired."""
        self._writer.run(lambda c: c.execute(DROP_SESSION, (sha256, steady)).fetchall())

    def log(self, entry: AuditEntry) -> None:
        """Keep who did what."""
        detail = json.dumps(entry.detail, ensure_ascii=False)
        row = (
            entry.at, entry.address, entry.way, entry.action, entry.agent, detail, entry.outcome
        )  # fmt: skip

        def apply(connection: apsw.Connection) -> None:
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
        return self._readers.run(lambda c: search.page(c, wanted))

    def flows(self, *, since: int) -> Flows:
        """How many deliveries each pair of agents had since a time, archived ones included."""

        def read(connection: apsw.Connection) -> Flows:
            index = SqliteIndex(connection)
            wanted = first_at(index, since)
            low = max(wanted, index.highest() - contract.FLOW_SEQS)
            counts: Counter[tuple[AgentName, AgentName]] = Counter()
            for sql in FLOWS:
                for sender, agent, count in connection.execute(sql, (low,)):
                    counts[sender, agent] += count
            first = index.next_message(low) if low > wanted else None
            flows = [Flow(*pair, count) for pair, count in sorted(counts.items())]
            return Flows(flows, since=None if first is None else first[1])

        return self._readers.run(read)

    def crossings(self, *, head: int) -> list[Crossing]:
        """When the newest deliveries reached each hop, oldest first."""
        return self._readers.run(
            lambda c: [Crossing(*row) for row in c.execute(HOPS, (head - contract.CROSSINGS,))]
        )

    def crossings_of(self, agents: Sequence[AgentName]) -> list[Crossing]:
        """When the newest deliveries of some agents reached each hop, oldest first."""
        share = contract.CROSSINGS // max(1, len(agents))

        def read(connection: apsw.Connection) -> list[Crossing]:
            found: list[Crossing] = []
            for agent in agents:
                walks: list[list[tuple[Any, ...]]] = [
                    connection.execute(HOPS_OF, (agent, rank, share)).fetchall()
                    for rank in rows.RANKS
                ]
                newest = heapq.merge(*walks, key=operator.itemgetter(-1), reverse=True)
                found += [Crossing(*row[:-1]) for row in itertools.islice(newest, share)]
            return sorted(found, key=lambda one: one.stored_at)

        return self._readers.run(read)
