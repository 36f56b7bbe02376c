"""Sends of a batch: keys and parents are looked up together, what is new is stored together.

One JSON document has all messages, so that one statement, always with the same text, stores any
number of them with their deliveries, keys and counters.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import errors, task
from agent_bus.core.model import OPERATOR, Delivery, Draft, Message, MessageId, Sent, Seq, value
from agent_bus.core.task import OpenTask
from agent_bus.store import rows
from agent_bus.store.contract import KEY_LIFETIME_MS
from agent_bus.store.postgres.write import facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg import Cursor

    from agent_bus.core.model import AgentName, MailboxCounts
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.write.facts import Fact

FIND_KEYS: Final = (
    "SELECT w.n, i.message_id, i.payload_sha256"
    " FROM json_to_recordset(%s::json) AS w(n int, sender text, key text, since bigint)"
    " JOIN idempotency i ON i.sender = w.sender AND i.key = w.key AND i.created_at > w.since"
)
FIND_PARENTS: Final = (
    "SELECT w.n, p.thread_id, p.hops, p.reply_to,"
    " (SELECT json_agg(json_build_array(t.pk, t.id, t.owner, t.agent) ORDER BY t.updated_at, t.pk)"
    " FROM task t WHERE t.thread_id = p.thread_id AND t.state = 'open'), p.sender,"
    # OFFSET 0: it may not read and hash all deliveries instead.
    " EXISTS (SELECT FROM delivery d WHERE d.message_pk = p.pk AND d.agent = w.sender OFFSET 0)"
    " OR EXISTS (SELECT FROM archive_delivery d WHERE d.message_pk = p.pk AND d.agent = w.sender"
    " OFFSET 0)"
    " FROM json_to_recordset(%s::json) AS w(n int, sender text, id text) CROSS JOIN LATERAL ("
    "SELECT pk, thread_id, hops, reply_to, sender FROM message WHERE id = w.id"
    " UNION ALL SELECT pk, thread_id, hops, reply_to, sender FROM archive_message"
    " WHERE id = w.id) p"
)
REPLAYED: Final = tuple(
    f"SELECT {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS} FROM {message} m"
    f" JOIN {delivery} d ON d.message_pk = m.pk WHERE m.id = ANY(%s) ORDER BY d.seq"
    for message, delivery in (("message", "delivery"), ("archive_message", "archive_delivery"))
)
ROWS: Final = (
    "SELECT * FROM json_to_recordset(%(rows)s::json) AS r("
    "pk bigint, id text, thread_id text, sender text, subject text, body text, data text,"
    " rank bigint, reply_to text, hops bigint, created_at bigint, expires_at bigint,"
    " recipients json, key text, since bigint, sha256 text, steady bigint)"
)
STORE: Final = (
    f"WITH r AS MATERIALIZED ({ROWS}), h AS (UPDATE head SET seq = %(seq)s),"
    " m AS (INSERT INTO message (pk, id, thread_id, sender, subject, body, data, rank, reply_to,"
    " hops, created_at, expires_at, open_count) SELECT pk, id, thread_id, sender, subject, body,"
    " data, rank, reply_to, hops, created_at, expires_at, json_array_length(recipients) FROM r),"
    " d AS (INSERT INTO delivery (seq, message_pk, agent, sender, rank)"
    " SELECT r.pk + a.place - 1, r.pk, a.agent, r.sender, r.rank FROM r"
    " CROSS JOIN LATERAL json_array_elements_text(r.recipients) WITH ORDINALITY a(agent, place)"
    " RETURNING agent, seq),"
    " k AS (INSERT INTO idempotency (sender, key, payload_sha256, message_id, created_at)"
    " SELECT sender, key, decode(sha256, 'hex'), id, steady FROM r WHERE key IS NOT NULL"
    " ON CONFLICT (sender, key) DO UPDATE SET payload_sha256 = excluded.payload_sha256,"
    " message_id = excluded.message_id, created_at = excluded.created_at)"
    " UPDATE mailbox b SET unread = b.unread + c.added, unfetched = b.unfetched + c.added,"
    " last_seq = c.newest FROM"
    " (SELECT agent, count(*) AS added, max(seq) AS newest FROM d GROUP BY agent) c"
    " WHERE b.agent = c.agent RETURNING b.agent, b.unfetched, b.unread, b.last_seq"
)

COMPLETE: Final = (
    "UPDATE task SET state = 'completed', updated_at = %s, answer_id = %s"
    " WHERE pk = %s AND state = 'open'"
)


@value
class Send:
    """A draft with what its store gave it; `steady` is what ages are counted from.

    With `is_step` it is a step of a task, and answers none.
    """

    draft: Draft
    message_id: MessageId
    now: int
    steady: int
    depth_limit: int
    is_step: bool = False

    def deliveries(self, message: Message) -> tuple[Delivery, ...]:
        """One for each recipient, in their order."""
        first = message.first_seq
        return tuple(
            Delivery(Seq(first + place), agent, message)
            for place, agent in enumerate(self.draft.recipients)
        )


class Sends:
    """All sends of a batch."""

    def __init__(self, wanted: Sequence[Send]) -> None:
        self._wanted = wanted
        self._keys: Cursor[Any] | None = None
        self._parents: Cursor[Any] | None = None
        self._stored: Cursor[Any] | None = None
        self._rows: list[dict[str, Any]] = []
        self._answered: list[tuple[int, MessageId, int]] = []
        self._agents: dict[AgentName, None] = {}
        self._last_new: int | None = None
        self.results: list[Sent | Exception] = []

    def ask(self, connection: NativeConnection) -> None:
        """Look up the keys and the parents of the batch."""
        keyed = [
            {
                "n": n,
                "sender": one.draft.sender,
                "key": one.draft.idempotency_key,
                "since": one.steady - KEY_LIFETIME_MS,
            }
            for n, one in enumerate(self._wanted)
            if one.draft.idempotency_key is not None
        ]
        replies = [
            {"n": n, "sender": one.draft.sender, "id": one.draft.reply_to}
            for n, one in enumerate(self._wanted)
            if one.draft.reply_to is not None
        ]
        if keyed:
            self._keys = connection.execute(FIND_KEYS, (json.dumps(keyed),))
        if replies:
            self._parents = connection.execute(FIND_PARENTS, (json.dumps(replies),))

    def decide(self, connection: NativeConnection, seq: int) -> None:
        """What becomes of each send; `seq` is the newest one given so far."""
        known = {n: (i, bytes(sha)) for n, i, sha in self._keys or ()}
        parents: dict[int, tuple[Any, ...]] = {n: tuple(row) for n, *row in self._parents or ()}
        first = _replays(connection, [message_id for message_id, _ in known.values()])
        here: dict[tuple[AgentName, str], Sent] = {}
        for n, one in enumerate(self._wanted):
            draft = one.draft
            try:
                again = self._again(one, known.get(n), first, here)
                sent = again or self._new(one, parents.get(n), seq + 1)
            except errors.BusError as error:
                self.results.append(error)
                continue
            if again is None:
                seq += len(draft.recipients)
                self._last_new = n
                if draft.idempotency_key is not None:
                    here[draft.sender, draft.idempotency_key] = sent
            self.results.append(sent)
        self._seq = seq

    def write(self, connection: NativeConnection) -> None:
        """Store what is new."""
        if self._rows:
            document = json.dumps(self._rows, separators=(",", ":"))
            self._stored = connection.execute(STORE, {"rows": document, "seq": self._seq})
        for one in self._answered:
            connection.execute(COMPLETE, one)

    def facts(self) -> list[Fact]:
        """What other hubs are told."""
        return [fact for one in self.results if isinstance(one, Sent) for fact in facts.sent(one)]

    def counted(self) -> Iterable[AgentName]:
        """Whose counters changed."""
        return self._agents

    def finish(self, boxes: Sequence[MailboxCounts] | None) -> None:
        """Each agent's counters, as they are after the whole batch, come with the last message.

        `boxes` has them when the answer of the database was lost.
        """
        if self._last_new is None:
            return
        if boxes is None and self._stored is not None:
            boxes = rows.mailboxes(self._stored)
        found = {box.agent: box for box in boxes or ()}
        last = self.results[self._last_new]
        if isinstance(last, Sent):
            in_order = tuple(found[agent] for agent in self._agents if agent in found)
            self.results[self._last_new] = replace(last, mailboxes=in_order)

    def _again(
        self,
        one: Send,
        known: tuple[MessageId, bytes] | None,
        first: dict[MessageId, Sent],
        here: dict[tuple[AgentName, str], Sent],
    ) -> Sent | None:
        """The first answer to the same key; None for a new message."""
        draft = one.draft
        if draft.idempotency_key is None:
            return None
        before = here.get((draft.sender, draft.idempotency_key))
        if before is not None:
            payload = next(
                other.draft.payload_sha256
                for other in self._wanted
                if other.message_id == before.message.id
            )
            known = (before.message.id, payload or b"")
        if known is None:
            return None
        message_id, payload_sha256 = known
        if payload_sha256 != draft.payload_sha256:
            raise errors.IdempotencyConflictError(message_id)
        found = before or first.get(message_id)
        if found is None:
            raise errors.UnknownMessageError(message_id, field="Idempotency-Key")
        return Sent(found.message, found.deliveries, (), replayed=True)

    def _new(self, one: Send, parent: tuple[Any, ...] | None, pk: int) -> Sent:
        """A message that is stored with this batch."""
        draft = one.draft
        if not draft.recipients:
            raise errors.NoRecipientError
        thread_id, depth = _thread(one, parent)
        if depth > one.depth_limit:
            raise errors.ThreadBudgetError(thread_id, one.depth_limit)
        message = built(one, thread_id, depth, pk)
        self._rows.append(row_of(one, message))
        if parent is not None and parent[3] and not one.is_step:
            self._answer(one, parent)
        self._agents.update(dict.fromkeys(draft.recipients))
        return Sent(message, one.deliveries(message), ())

    def _answer(self, one: Send, parent: tuple[Any, ...]) -> None:
        """End the task that a reply answers, if it answers one."""
        draft = one.draft
        ended = {pk for _, _, pk in self._answered}  # by replies that came before this one
        found = task.answered(
            [OpenTask(*of) for of in parent[3] if of[0] not in ended],
            sender=draft.sender,
            recipients=draft.recipients,
            reply_to=draft.reply_to,
            replied_to=parent[2],
            operator=OPERATOR,
        )
        if found is not None:
            self._answered.append((one.now, one.message_id, found.pk))


def built(one: Send, thread_id: MessageId, depth: int, pk: int) -> Message:
    """The message as it is stored."""
    draft = one.draft
    lifetime_s = draft.expires_in_s
    return Message(
        one.message_id,
        Seq(pk),
        thread_id,
        draft.sender,
        draft.subject,
        draft.body,
        draft.data_json,
        draft.rank,
        draft.reply_to,
        depth,
        one.now,
        None if lifetime_s is None else one.steady + lifetime_s * 1000,
    )


def row_of(one: Send, message: Message) -> dict[str, Any]:
    """Its row in ROWS."""
    draft = one.draft
    sha256 = draft.payload_sha256
    return {
        "pk": message.first_seq,
        "id": message.id,
        "thread_id": message.thread_id,
        "sender": message.sender,
        "subject": message.subject,
        "body": message.body,
        "data": message.data_json,
        "rank": message.rank,
        "reply_to": message.reply_to,
        "hops": message.depth,
        "created_at": message.created_at,
        "expires_at": message.expires_at,
        "recipients": draft.recipients,
        "key": draft.idempotency_key,
        "sha256": None if sha256 is None else sha256.hex(),
        "steady": one.steady,
    }


def _thread(one: Send, parent: tuple[Any, ...] | None) -> tuple[MessageId, int]:
    """(thread, depth) of a new message: a thread of its own, or its parent's, one deeper."""
    draft = one.draft
    if draft.reply_to is None:
        return one.message_id, 0
    if parent is None:
        raise errors.UnknownMessageError(draft.reply_to, field="reply_to")
    thread_id, depth, _, _, author, is_recipient = parent
    if draft.sender not in {author, OPERATOR} and not is_recipient:
        raise errors.UnknownMessageError(draft.reply_to, field="reply_to")
    return thread_id, 0 if draft.sender == OPERATOR else depth + 1


def _replays(connection: NativeConnection, ids: list[MessageId]) -> dict[MessageId, Sent]:
    """What was stored under these ids, archived or not."""
    if not ids:
        return {}
    cursors = [connection.execute(sql, (ids,)) for sql in REPLAYED]
    found: dict[MessageId, list[Delivery]] = {}
    for cursor in cursors:
        for row in cursor:
            delivery = rows.joined(row)
            found.setdefault(delivery.message.id, []).append(delivery)
    return {
        message_id: Sent(deliveries[0].message, tuple(deliveries), (), replayed=True)
        for message_id, deliveries in found.items()
    }
