"""Acks of a batch: all that they name is looked up together, and marked as read together."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import states
from agent_bus.core.model import Acked, AgentName, Delivery, MessageId, Seq, value
from agent_bus.store import rows
from agent_bus.store.postgres.write import facts

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from psycopg import Cursor

    from agent_bus.core.model import MailboxCounts
    from agent_bus.core.states import WebhookEvent
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.write.facts import Fact

DELIVERIES_TO: Final = (
    f"SELECT w.n, {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS}"
    " FROM json_to_recordset(%s::json) AS w(n int, agent text, id text)"
    " JOIN message m ON m.id = w.id JOIN delivery d ON d.message_pk = m.pk AND d.agent = w.agent"
)
ARCHIVED_TO: Final = (
    "SELECT w.n, m.id FROM json_to_recordset(%s::json) AS w(n int, agent text, id text)"
    " JOIN archive_message m ON m.id = w.id"
    " JOIN archive_delivery d ON d.message_pk = m.pk AND d.agent = w.agent"
)
FETCHED_UP_TO: Final = (
    f"SELECT w.n, {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS}"
    " FROM json_to_recordset(%s::json) AS w(n int, agent text, id text) CROSS JOIN LATERAL ("
    "SELECT l.seq FROM message o JOIN delivery l ON l.message_pk = o.pk AND l.agent = w.agent"
    " WHERE o.id = w.id UNION ALL SELECT l.seq FROM archive_message o"
    " JOIN archive_delivery l ON l.message_pk = o.pk AND l.agent = w.agent WHERE o.id = w.id) u"
    " CROSS JOIN LATERAL (SELECT * FROM delivery o WHERE o.agent = w.agent"
    " AND o.read_at IS NULL AND o.expired_at IS NULL AND o.fetched_at IS NOT NULL"
    " AND o.seq <= u.seq OFFSET 0) d"  # OFFSET 0: agent by agent, not all open mail
    " JOIN message m ON m.pk = d.message_pk ORDER BY w.n, d.rank, d.seq"
)
MARK_READ: Final = (
    "UPDATE delivery d SET read_at = w.at"
    " FROM json_to_recordset(%s::json) AS w(seq bigint, at bigint) WHERE d.seq = w.seq"
)
NOTE_READ: Final = (
    "INSERT INTO webhook_stamp (kind, seq, agent, at)"
    f" SELECT '{states.READ}', w.seq, w.agent, w.at"
    " FROM json_to_recordset(%s::json) AS w(seq bigint, agent text, at bigint)"
)
CLOSE: Final = (
    "UPDATE message m SET open_count = m.open_count - w.count,"
    " closed_at = CASE WHEN m.open_count = w.count THEN w.at END"
    " FROM json_to_recordset(%s::json) AS w(pk bigint, count bigint, at bigint)"
    " WHERE m.pk = w.pk"
)
COUNT_CLOSED: Final = (
    "UPDATE mailbox b SET unread = b.unread - w.unread, unfetched = b.unfetched - w.unfetched"
    " FROM json_to_recordset(%s::json) AS w(agent text, unread bigint, unfetched bigint)"
    " WHERE b.agent = w.agent RETURNING b.agent, b.unfetched, b.unread, b.last_seq"
)


@value
class Ack:
    """These messages or, with `up_to`, what was shown up to the one that is named."""

    agent: AgentName
    ids: tuple[MessageId, ...]
    up_to: bool
    now: int
    steady: int


class Acks:
    """All acks of a batch."""

    def __init__(self, wanted: Sequence[Ack], noted: Container[WebhookEvent] = ()) -> None:
        self._wanted = wanted
        self._is_noted = states.READ in noted
        self._agents: dict[Seq, AgentName] = {}
        self._live: Cursor[Any]
        self._archived: Cursor[Any]
        self._shown: Cursor[Any] | None = None
        self._counted: Cursor[Any] | None = None
        self._marks: dict[Seq, int] = {}
        self._closed: dict[Seq, list[int]] = {}
        self._boxes: dict[AgentName, list[int]] = defaultdict(lambda: [0, 0])
        self._last: dict[AgentName, int] = {}
        self.results: list[Acked | Exception] = []

    def ask(self, connection: NativeConnection) -> None:
        """Look up what is named."""
        named = json.dumps(
            [
                {"n": n, "agent": one.agent, "id": message_id}
                for n, one in enumerate(self._wanted)
                for message_id in dict.fromkeys(one.ids)
            ]
        )
        self._live = connection.execute(DELIVERIES_TO, (named,))
        self._archived = connection.execute(ARCHIVED_TO, (named,))
        up_to = [
            {"n": n, "agent": one.agent, "id": one.ids[0]}
            for n, one in enumerate(self._wanted)
            if one.up_to
        ]
        if up_to:
            self._shown = connection.execute(FETCHED_UP_TO, (json.dumps(up_to),))

    def decide(self, fetched: Container[Seq]) -> None:
        """What becomes of each ack; `fetched` are shown for the first time by this batch."""
        live = {(n, d.message.id): d for n, d in _deliveries(self._live)}
        archived = {(n, message_id) for n, message_id in self._archived}
        shown: dict[int, list[Delivery]] = defaultdict(list)
        for n, delivery in _deliveries(self._shown or ()):
            shown[n].append(delivery)
        for n, one in enumerate(self._wanted):
            outcome = Acked((), (), (), (), ())
            if not one.up_to:
                outcome, open_ones = self._sort(n, one, live, archived)
            elif (n, one.ids[0]) in live or (n, one.ids[0]) in archived:
                open_ones = [d for d in shown[n] if d.seq not in self._marks]
            else:
                outcome, open_ones = replace(outcome, unknown=one.ids), []
            self._read(n, one, open_ones, fetched)
            self.results.append(
                replace(
                    outcome,
                    acked=tuple(d.message.id for d in open_ones),
                    receipts=tuple(replace(d, read_at=one.now) for d in open_ones),
                )
            )

    def write(self, connection: NativeConnection) -> None:
        """Mark what is read now, and count it."""
        if self._marks:
            marks = [{"seq": seq, "at": at} for seq, at in self._marks.items()]
            connection.execute(MARK_READ, (json.dumps(marks),))
        if self._marks and self._is_noted:
            notes = [
                {"seq": seq, "agent": self._agents[seq], "at": at}
                for seq, at in self._marks.items()
            ]
            connection.execute(NOTE_READ, (json.dumps(notes),))
        if self._closed:
            closed = [{"pk": pk, "count": c, "at": at} for pk, (c, at) in self._closed.items()]
            connection.execute(CLOSE, (json.dumps(closed),))
        if self._boxes:
            self._counted = count_closed(connection, self._boxes)

    def facts(self) -> list[Fact]:
        """What other hubs are told."""
        return [
            fact
            for one, result in zip(self._wanted, self.results, strict=True)
            if isinstance(result, Acked)
            for fact in facts.acked(one.agent, result)
        ]

    def counted(self) -> Iterable[AgentName]:
        """Whose counters changed."""
        return self._boxes

    def finish(self, boxes: Sequence[MailboxCounts] | None) -> None:
        """Each agent's counters come with its last ack of the batch."""
        if boxes is None:
            boxes = rows.mailboxes(self._counted or ())
        for box in boxes:
            n = self._last.get(box.agent)
            result = None if n is None else self.results[n]
            if n is not None and isinstance(result, Acked):
                self.results[n] = replace(result, mailboxes=(box,))

    def _sort(
        self,
        n: int,
        one: Ack,
        live: dict[tuple[int, MessageId], Delivery],
        archived: set[tuple[int, MessageId]],
    ) -> tuple[Acked, list[Delivery]]:
        """What is read already, what is unknown, and the deliveries that are open."""
        open_ones: list[Delivery] = []
        already: list[MessageId] = []
        unknown: list[MessageId] = []
        for message_id in dict.fromkeys(one.ids):
            found = live.get((n, message_id))
            if found is not None and found.read_at is None and found.seq not in self._marks:
                open_ones.append(found)
            elif found is not None or (n, message_id) in archived:
                already.append(message_id)
            else:
                unknown.append(message_id)
        return Acked((), tuple(already), tuple(unknown), (), ()), open_ones

    def _read(
        self, n: int, one: Ack, open_ones: Sequence[Delivery], fetched: Container[Seq]
    ) -> None:
        """Note what has to be written for deliveries that are read now."""
        for found in open_ones:
            self._marks[found.seq] = one.now
            self._agents[found.seq] = one.agent
            if found.expired_at is not None:
                continue
            count = self._closed.setdefault(found.message.first_seq, [0, one.steady])
            count[0] += 1
            count[1] = one.steady
            box = self._boxes[one.agent]
            box[0] += 1
            box[1] += found.fetched_at is None and found.seq not in fetched
            self._last[one.agent] = n


def count_closed(connection: NativeConnection, counts: dict[AgentName, list[int]]) -> Cursor[Any]:
    """Take (unread, unfetched) off the counters of agents."""
    document = [
        {"agent": agent, "unread": unread, "unfetched": unfetched}
        for agent, (unread, unfetched) in counts.items()
    ]
    return connection.execute(COUNT_CLOSED, (json.dumps(document),))


def _deliveries(found: Iterable[Any]) -> list[tuple[int, Delivery]]:
    return [(row[0], rows.joined(row[1:])) for row in found]
