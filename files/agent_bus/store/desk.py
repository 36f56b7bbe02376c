"""What only the operator's page asks of the store: sessions, audit, search and overviews.

Everything here is bounded by a range of seqs or a number of rows, so that a page that somebody
looks at can never slow the bus down. Reads run in a reader's native thread, writes in the writer.
"""

from __future__ import annotations

import heapq
import json
from typing import TYPE_CHECKING, Any, Final

from agent_bus.model import (
    AgentName,
    AuditEntry,
    Crossing,
    Flow,
    Message,
    SearchPage,
    Session,
)
from agent_bus.store import rows

if TYPE_CHECKING:
    import apsw

    from agent_bus.runtime import ThreadedPool
    from agent_bus.store.writer import Writer

AUDIT_KEPT: Final = 100_000
"""Audit entries kept; at one a minute that is ten weeks, and about 20 MB."""
SEARCH_SEQS: Final = 20_000
"""Seqs that one search for text looks through: some 20 ms a thousand-byte body each. The page
says how far it has looked and goes on from there."""
FLOW_SEQS: Final = 100_000
"""Newest deliveries that one picture of who talks to whom is made from."""
CROSSINGS: Final = 2_000
"""Newest deliveries that the hops of each host are measured over."""

SESSIONS: Final = "SELECT sha256, token_sha256, expires_at FROM session WHERE expires_at > ?"
KEEP_SESSION: Final = "INSERT INTO session (sha256, token_sha256, expires_at) VALUES (?, ?, ?)"
DROP_SESSION: Final = "DELETE FROM session WHERE sha256 = ? OR expires_at <= ?"
KEEP_AUDIT: Final = (
    "INSERT INTO audit (at, address, action, agent, detail, outcome) VALUES (?, ?, ?, ?, ?, ?)"
)
DROP_AUDIT: Final = "DELETE FROM audit WHERE pk <= (SELECT max(pk) FROM audit) - ?"
AUDIT: Final = (
    "SELECT at, address, action, agent, detail, outcome FROM audit ORDER BY pk DESC LIMIT ?"
)
NEXT_MESSAGE: Final = "SELECT pk, created_at FROM message WHERE pk >= ? ORDER BY pk LIMIT 1"
HIGHEST_PK: Final = "SELECT max(pk) FROM message"
_TEXT: Final = (
    " AND (:pattern IS NULL OR m.body LIKE :pattern ESCAPE '\\'"
    " OR m.subject LIKE :pattern ESCAPE '\\')"
)
SEARCH: Final = {
    "all": (
        f"SELECT {rows.MESSAGE_COLUMNS} FROM message m WHERE m.pk > :low AND m.pk < :before"
        f"{_TEXT} ORDER BY m.pk DESC LIMIT :limit"
    ),
    "sent": (
        f"SELECT {rows.MESSAGE_COLUMNS} FROM message m WHERE m.sender = :agent"
        f" AND m.pk > :low AND m.pk < :before{_TEXT} ORDER BY m.pk DESC LIMIT :limit"
    ),
    "received": (
        f"SELECT {rows.MESSAGE_COLUMNS} FROM delivery d JOIN message m ON m.pk = d.message_pk"
        f" WHERE d.agent = :agent AND d.seq > :low AND d.seq < :before{_TEXT}"
        " ORDER BY d.seq DESC LIMIT :limit"
    ),
}
RECIPIENTS: Final = "SELECT d.agent, d.read_at IS NOT NULL FROM delivery d WHERE d.message_pk = ?"
FLOWS: Final = (
    # Left alone, the planner walks the index of all pairs instead of the range of seqs.
    "SELECT d.sender, d.agent, count(*) FROM delivery d NOT INDEXED WHERE d.seq >= ?"
    " GROUP BY d.sender, d.agent"
)
HOPS: Final = (
    "SELECT d.agent, m.created_at, d.pushed_at, d.received_at, d.accepted_at, d.fetched_at,"
    " d.read_at FROM delivery d NOT INDEXED JOIN message m ON m.pk = d.message_pk WHERE d.seq > ?"
)
LAST_WAKES: Final = (
    "SELECT x.agent, d.accepted_at FROM mailbox x JOIN delivery d ON d.seq = x.accepted_seq"
    " WHERE d.accepted_at IS NOT NULL"
)


class Desk:
    """See the module. It stands beside the store's other calls and shares its connections."""

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
        row = (entry.at, entry.address, entry.action, entry.agent, detail, entry.outcome)

        def apply(connection: apsw.Connection) -> None:
            connection.execute(KEEP_AUDIT, row)
            connection.execute(DROP_AUDIT, (AUDIT_KEPT,))

        self._writer.run(apply)

    def audit(self, *, limit: int) -> list[AuditEntry]:
        """What was done by hand, newest first."""
        return self._readers.run(
            lambda c: [
                AuditEntry(at, address, action, agent, json.loads(detail), outcome)
                for at, address, action, agent, detail, outcome in c.execute(AUDIT, (limit,))
            ]
        )

    def search(
        self,
        *,
        agent: AgentName | None,
        text: str | None,
        since: int | None,
        until: int | None,
        before: int | None,
        limit: int,
    ) -> SearchPage:
        """Messages of a time, newest first, from the one before `before` on."""
        return self._readers.run(
            lambda c: _search(
                c, agent=agent, text=text, since=since, until=until, before=before, limit=limit
            )
        )

    def flows(self, *, since: int) -> list[Flow]:
        """How many deliveries went from whom to whom, from a time on."""

        def read(connection: apsw.Connection) -> list[Flow]:
            top = _value(connection, HIGHEST_PK) or 0
            low = max(_first_at(connection, since), top - FLOW_SEQS)
            return [Flow(*row) for row in connection.execute(FLOWS, (low,))]

        return self._readers.run(read)

    def crossings(self, *, head: int) -> list[Crossing]:
        """When the newest deliveries reached each hop."""
        return self._readers.run(
            lambda c: [Crossing(*row) for row in c.execute(HOPS, (head - CROSSINGS,))]
        )

    def last_wakes(self) -> dict[AgentName, int]:
        """When each agent's gateway last accepted a wake, as far as it is still known."""
        return self._readers.run(
            lambda c: {AgentName(str(a)): at for a, at in c.execute(LAST_WAKES)}
        )


def pattern_of(text: str) -> str:
    r"""A LIKE pattern that finds `text` as it is; `%`, `_` and `\` in it mean themselves."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _search(
    connection: apsw.Connection,
    *,
    agent: AgentName | None,
    text: str | None,
    since: int | None,
    until: int | None,
    before: int | None,
    limit: int,
) -> SearchPage:
    top = (_value(connection, HIGHEST_PK) or 0) + 1
    upper = top if until is None else _first_at(connection, until)
    upper = upper if before is None else min(upper, before)
    floor = 0 if since is None else _first_at(connection, since) - 1
    low = floor if text is None else max(floor, upper - SEARCH_SEQS - 1)
    bindings: dict[str, Any] = {
        "agent": agent,
        "pattern": None if text is None else pattern_of(text),
        "low": low,
        "before": upper,
        "limit": limit,
    }
    walks = [
        [rows.message(row) for row in connection.execute(SEARCH[name], bindings)]
        for name in (("all",) if agent is None else ("sent", "received"))
    ]
    merged = heapq.merge(*walks, key=lambda m: m.first_seq, reverse=True)
    found = list({m.first_seq: m for m in merged}.values())[:limit]
    full = len(found) == limit
    more = found[-1].first_seq if full else (low + 1 if low > floor else None)
    return SearchPage(
        messages=[(m, _recipients(connection, m)) for m in found],
        before=more,
        is_cut=not full and more is not None,
    )


def _recipients(connection: apsw.Connection, of: Message) -> dict[AgentName, bool]:
    """Recipient -> whether it has read the message."""
    return {a: bool(read) for a, read in connection.execute(RECIPIENTS, (of.first_seq,))}


def _first_at(connection: apsw.Connection, at: int) -> int:
    """The pk of the first message created at or after a time; past the last when there is none.

    Messages stand in the order of their commits, so their times grow, and halving finds the place
    without an index. Where the wall clock once jumped back it is off by what came in between.
    """
    low, high = 0, (_value(connection, HIGHEST_PK) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(NEXT_MESSAGE, (middle,)).fetchone()
        if row is None or row[1] >= at:
            high = middle
        else:
            low = row[0] + 1
    return low


def _value(connection: apsw.Connection, sql: str) -> Any:  # noqa: ANN401 - a column's value
    return next(iter(connection.execute(sql)))[0]
