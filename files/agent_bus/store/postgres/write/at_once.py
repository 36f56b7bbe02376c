"""Sends that most probably are new: stored in one exchange with the database, nothing asked first.

The statement itself looks whether a key of the batch is known. If one is, it stores nothing at
all, and the batch takes the longer way of `sends.py`. It gives the seqs, too: rows carry places.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.model import MailboxCounts, Sent
from agent_bus.store.contract import KEY_LIFETIME_MS
from agent_bus.store.postgres.write import facts
from agent_bus.store.postgres.write.sends import ROWS, Send, built, row_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Cursor

    from agent_bus.core.model import AgentName
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.write.facts import Fact

STORE: Final = (
    f"WITH r AS MATERIALIZED ({ROWS}),"
    " h AS (UPDATE head SET pos = pos + 1, seq = seq + %(total)s WHERE term = %(term)s"
    " AND NOT EXISTS (SELECT FROM r JOIN idempotency i ON i.sender = r.sender AND i.key = r.key"
    " AND i.created_at > r.since) RETURNING pos, seq - %(total)s AS base),"
    " m AS (INSERT INTO message (pk, id, thread_id, sender, subject, body, data, rank, reply_to,"
    " hops, created_at, expires_at, open_count) SELECT h.base + pk, id, thread_id, sender,"
    " subject, body, data, rank, reply_to, hops, created_at, expires_at,"
    " json_array_length(recipients) FROM r CROSS JOIN h),"
    " d AS (INSERT INTO delivery (seq, message_pk, agent, sender, rank)"
    " SELECT h.base + r.pk + a.place - 1, h.base + r.pk, a.agent, r.sender, r.rank"
    " FROM r CROSS JOIN h"
    " CROSS JOIN LATERAL json_array_elements_text(r.recipients) WITH ORDINALITY a(agent, place)"
    " RETURNING agent, seq),"
    " k AS (INSERT INTO idempotency (sender, key, payload_sha256, message_id, created_at)"
    " SELECT sender, key, decode(sha256, 'hex'), id, steady FROM r CROSS JOIN h"
    " WHERE key IS NOT NULL ON CONFLICT (sender, key) DO UPDATE"
    " SET payload_sha256 = excluded.payload_sha256, message_id = excluded.message_id,"
    " created_at = excluded.created_at),"
    " b AS (UPDATE mailbox x SET unread = x.unread + c.added, unfetched = x.unfetched + c.added,"
    " last_seq = c.newest FROM"
    " (SELECT agent, count(*) AS added, max(seq) AS newest FROM d GROUP BY agent) c"
    " WHERE x.agent = c.agent RETURNING x.agent, x.unfetched, x.unread, x.last_seq),"
    " j AS MATERIALIZED (SELECT coalesce(json_agg(json_build_array(agent, unfetched, unread,"
    " last_seq)), '[]')::text AS boxes FROM b),"
    " c AS (INSERT INTO change (pos, hub, batch, at, facts, boxes)"
    " SELECT h.pos, %(hub)s, %(batch)s, %(at)s, (SELECT json_agg(f.fact ORDER BY r.pk, f.place)"
    "::text FROM r CROSS JOIN LATERAL (VALUES"
    f" (1, json_build_array('{facts.SENT}', h.base + r.pk, r.recipients, r.expires_at)),"
    f" (2, json_build_array('{facts.SAID}', h.base + r.pk, r.sender, r.thread_id, r.hops))"
    ") f(place, fact)),"
    " j.boxes FROM h CROSS JOIN j)"
    " SELECT h.pos, h.base, j.boxes FROM h CROSS JOIN j"
)


class SendsAtOnce:
    """All sends of a batch that has nothing else to decide."""

    def __init__(self, wanted: Sequence[Send]) -> None:
        self._wanted = wanted
        self._stored: Cursor[Any]
        self.results: list[Sent] = []

    @staticmethod
    def can(wanted: Sequence[Send]) -> bool:
        """Whether these sends need nothing to be looked up, but their keys."""
        keys = [
            (one.draft.sender, one.draft.idempotency_key)
            for one in wanted
            if one.draft.idempotency_key is not None
        ]
        return len(keys) == len(set(keys)) and all(
            one.draft.recipients and one.draft.reply_to is None for one in wanted
        )

    def write(
        self, connection: NativeConnection, *, term: int, hub: str, batch: int, at: int
    ) -> None:
        """Store what is new, and what other hubs are told."""
        rows = []
        place = 1
        for one in self._wanted:
            rows.append(row_of(one, built(one, one.message_id, 0, place)))
            place += len(one.draft.recipients)
            if one.draft.idempotency_key is not None:
                rows[-1]["since"] = one.steady - KEY_LIFETIME_MS
        values = {"rows": json.dumps(rows, separators=(",", ":")), "total": place - 1}
        more = {"term": term, "hub": hub, "batch": batch, "at": at}
        self._stored = connection.execute(STORE, {**values, **more})

    def stored(self) -> int | None:
        """The number of the batch; None: nothing was stored, for a key is known."""
        row = self._stored.fetchone()
        if row is None:
            return None
        pos, base, boxes = row
        self.settle(base, [MailboxCounts(*box) for box in json.loads(boxes)])
        return int(pos)

    def settle(self, base: int, boxes: Sequence[MailboxCounts]) -> None:
        """Make the results; each agent's counters come once, with the last message."""
        agents: dict[AgentName, None] = {}
        for one in self._wanted:
            message = built(one, one.message_id, 0, base + 1)
            base += len(one.draft.recipients)
            agents.update(dict.fromkeys(one.draft.recipients))
            self.results.append(Sent(message, one.deliveries(message), ()))
        found = {box.agent: box for box in boxes}
        last = self.results[-1]
        in_order = tuple(found[agent] for agent in agents if agent in found)
        self.results[-1] = Sent(last.message, last.deliveries, in_order)

    def facts(self) -> list[Fact]:
        """What other hubs are told."""
        return [fact for one in self.results for fact in facts.sent(one)]
