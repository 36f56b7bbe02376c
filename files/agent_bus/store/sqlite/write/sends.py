"""Sends of a batch: keys and parents are looked up together, what is new is stored together.

Each statement gives the interpreter lock away and waits to get it back, so under load the number
of statements decides what a batch costs: three for plain sends, whatever their recipients, one
more each for keys to look up, keys to keep, and parents. What has passed `decide` can fail for the
disk only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import errors, task
from agent_bus.core.model import (
    OPERATOR,
    AgentName,
    Draft,
    Message,
    MessageId,
    Sent,
    new_message_ids,
    value,
)
from agent_bus.store import rows
from agent_bus.store.contract import KEY_LIFETIME_MS
from agent_bus.store.sqlite.write import bulk, questions, tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.question import Part
    from agent_bus.core.task import OpenTask, Step

FIND_KEYS: Final = (
    "WITH wanted (n, sender, key, since) AS (VALUES (?, ?, ?, ?))"
    " SELECT w.n, i.message_id, i.payload_sha256 FROM wanted w CROSS JOIN idempotency i"
    " ON i.sender = w.sender AND i.key = w.key WHERE i.created_at > w.since"
)
KEEP_KEYS: Final = (
    "INSERT OR REPLACE INTO idempotency (sender, key, payload_sha256, message_id, created_at)"
    " VALUES (?, ?, ?, ?, ?)"
)
FIND_PARENTS: Final = tuple(
    "WITH wanted (n, id, sender) AS (VALUES (?, ?, ?))"
    " SELECT w.n, p.thread_id, p.hops, p.reply_to, p.sender = w.sender"
    f" OR EXISTS (SELECT 1 FROM {delivery} d WHERE d.message_pk = p.pk AND d.agent = w.sender),"
    " EXISTS (SELECT 1 FROM task t WHERE t.thread_id = p.thread_id AND t.state = 'open')"
    f" FROM wanted w CROSS JOIN {message} p ON p.id = w.id"
    for message, delivery in (("message", "delivery"), ("archive_message", "archive_delivery"))
)
MESSAGE_BY_ID: Final = f"SELECT {rows.MESSAGE_COLUMNS} FROM message m WHERE m.id = ?"
DELIVERIES_OF: Final = (
    f"SELECT {rows.DELIVERY_COLUMNS} FROM delivery d WHERE d.message_pk = ? ORDER BY d.seq"
)
ARCHIVED_MESSAGE_BY_ID: Final = (
    f"SELECT {rows.MESSAGE_COLUMNS} FROM archive_message m WHERE m.id = ?"
)
ARCHIVED_DELIVERIES_OF: Final = (
    f"SELECT {rows.DELIVERY_COLUMNS} FROM archive_delivery d WHERE d.message_pk = ? ORDER BY d.seq"
)


@value
class Send:
    """What is to be sent; a step of a task answers none."""

    draft: Draft
    depth_limit: int
    is_step: bool = False


class Sender:
    """Stores messages as of now, with new ids."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def store(
        self, connection: apsw.Connection, wanted: Sequence[Send]
    ) -> Sequence[Sent | Exception]:
        """Store messages without steps, or find what their keys led to the first time, in order.

        An error in place of a result is that send's own: nothing of it is stored.
        Each agent's counters come once, as they are after all of them, with the last new message.
        """
        batch = _Batch(wanted, self._clock)
        batch.look_up(connection)
        batch.decide(connection)
        batch.write(connection)
        return batch.results

    def take(self, connection: apsw.Connection, one: Send, step: Step | Part) -> Sent:
        """Store a message that is a step of a task or a part of a question, and what it makes."""
        if isinstance(step, task.Step):
            one = replace(one, draft=tasks.placed(connection, step, one.draft))
        batch = _Batch([one], self._clock)
        batch.look_up(connection)
        batch.decide(connection)
        (sent,) = batch.results
        if isinstance(sent, Exception):
            raise sent
        if sent.replayed:
            return sent
        if isinstance(step, task.Step):
            tasks.require(connection, step, one.draft)
        else:
            questions.require(connection, step, one.draft, steady=self._clock.steady_ms())
        batch.write(connection)
        (sent,) = batch.results
        assert isinstance(sent, Sent)
        if isinstance(step, task.Step):
            tasks.take(connection, step, sent)
        else:
            questions.take(connection, step, sent)
        return sent


@value
class _Parent:
    """What a reply has to know of what it replies to."""

    thread_id: MessageId
    depth: int
    reply_to: MessageId | None
    is_sender_involved: int
    has_open_tasks: int


class _Batch:
    """Sends on their way into the database."""

    def __init__(self, wanted: Sequence[Send], clock: Clock) -> None:
        self._wanted = wanted
        self._now, self._steady = clock.now_ms(), clock.steady_ms()
        self._ids = new_message_ids(self._now, len(wanted))
        self._known: dict[int, tuple[MessageId, bytes]] = {}
        self._parents: dict[int, _Parent] = {}
        self._here: dict[tuple[AgentName, str], tuple[Sent, bytes | None]] = {}
        self._open_tasks: dict[MessageId, list[OpenTask]] = {}
        self._answered: list[tuple[int, MessageId, int]] = []
        self._keys: list[tuple[Any, ...]] = []
        self._last_new = 0
        self._rows = bulk.Rows()
        self.results: list[Sent | Exception] = []

    def look_up(self, connection: apsw.Connection) -> None:
        """Find the keys that are known, and the parents."""
        since = self._steady - KEY_LIFETIME_MS
        keyed, replies = [], []
        for n, one in enumerate(self._wanted):
            draft = one.draft
            if draft.idempotency_key is not None:
                keyed.append((n, draft.sender, draft.idempotency_key, since))
            if draft.reply_to is not None:
                replies.append((n, draft.reply_to, draft.sender))
        if keyed:
            for n, message_id, sha256 in bulk.execute(connection, FIND_KEYS, keyed):
                self._known[n] = (message_id, sha256)
        for sql in FIND_PARENTS:
            if replies:
                for n, *parent in bulk.execute(connection, sql, replies):
                    self._parents[n] = _Parent(*parent)
                replies = [one for one in replies if one[0] not in self._parents]

    def decide(self, connection: apsw.Connection) -> None:
        """What becomes of each send, in order."""
        self._rows.begin(connection)
        for n, one in enumerate(self._wanted):
            try:
                sent = self._again(connection, n, one.draft) or self._new(connection, n, one)
            except errors.BusError as error:
                self.results.append(error)
            else:
                self.results.append(sent)

    def write(self, connection: apsw.Connection) -> None:
        """Store what is new."""
        if not self._rows:
            return
        if self._keys:
            bulk.execute(connection, KEEP_KEYS, self._keys)
        boxes = self._rows.write(connection)
        for one in self._answered:
            tasks.complete(connection, one)
        last = self.results[self._last_new]
        assert isinstance(last, Sent)
        self.results[self._last_new] = Sent(last.message, last.deliveries, boxes)

    def _again(self, connection: apsw.Connection, n: int, draft: Draft) -> Sent | None:
        """The first answer to the same key; None for a new message."""
        if draft.idempotency_key is None:
            return None
        before = self._here.get((draft.sender, draft.idempotency_key))
        if before is not None:
            found, sha256 = before
            message_id = found.message.id
        elif n in self._known:
            message_id, sha256 = self._known[n]
        else:
            return None
        if sha256 != draft.payload_sha256:
            raise errors.IdempotencyConflictError(message_id)
        if before is not None:
            return Sent(found.message, found.deliveries, (), replayed=True)
        return _stored(connection, message_id)

    def _new(self, connection: apsw.Connection, n: int, one: Send) -> Sent:
        """A message that is stored with this batch."""
        draft = one.draft
        if not draft.recipients:
            raise errors.NoRecipientError
        message_id = self._ids[n]
        thread_id, depth = message_id, 0
        parent = None
        if draft.reply_to is not None:
            parent = self._parents.get(n)
            if parent is None or not (parent.is_sender_involved or draft.sender == OPERATOR):
                raise errors.UnknownMessageError(draft.reply_to, field="reply_to")
            thread_id = parent.thread_id
            depth = 0 if draft.sender == OPERATOR else parent.depth + 1
        if depth > one.depth_limit:
            raise errors.ThreadBudgetError(thread_id, one.depth_limit)
        lifetime_s = draft.expires_in_s
        message = Message(
            message_id, self._rows.next_seq, thread_id, draft.sender, draft.subject, draft.body,
            draft.data_json, draft.rank, draft.reply_to, depth, self._now,
            None if lifetime_s is None else self._steady + lifetime_s * 1000,
        )  # fmt: skip
        sent = Sent(message, self._rows.add(message, draft.recipients), ())
        self._last_new = n
        if draft.idempotency_key is not None:
            key, sha256 = draft.idempotency_key, draft.payload_sha256
            self._keys.append((draft.sender, key, sha256, message_id, self._steady))
            self._here[draft.sender, key] = (sent, sha256)
        if parent is not None and parent.has_open_tasks and not one.is_step:
            self._answer(connection, message, draft, parent)
        return sent

    def _answer(
        self, connection: apsw.Connection, message: Message, draft: Draft, parent: _Parent
    ) -> None:
        """End the task that a reply answers, if it answers one."""
        thread_id = message.thread_id
        if thread_id not in self._open_tasks:
            self._open_tasks[thread_id] = tasks.open_in_thread(connection, thread_id)
        open_ones = self._open_tasks[thread_id]
        found = task.answered(
            open_ones,
            sender=draft.sender,
            recipients=draft.recipients,
            reply_to=draft.reply_to,
            replied_to=parent.reply_to,
            operator=OPERATOR,
        )
        if found is not None:
            open_ones.remove(found)
            self._answered.append((self._now, message.id, found.pk))


def _stored(connection: apsw.Connection, message_id: MessageId) -> Sent:
    """What a key led to the first time."""
    row = connection.execute(MESSAGE_BY_ID, (message_id,)).fetchone()
    of = DELIVERIES_OF
    if row is None:
        row = connection.execute(ARCHIVED_MESSAGE_BY_ID, (message_id,)).fetchone()
        of = ARCHIVED_DELIVERIES_OF
    if row is None:
        raise errors.UnknownMessageError(message_id, field="Idempotency-Key")
    first = rows.message(row)
    found = tuple(rows.delivery(d, first) for d in connection.execute(of, (first.first_seq,)))
    return Sent(first, found, (), replayed=True)
