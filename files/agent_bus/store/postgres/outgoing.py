"""Events for webhooks in PostgreSQL: see `store/outgoing.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeVar

from agent_bus.core import states
from agent_bus.store import rows
from agent_bus.store.outgoing import (
    CURSOR,
    FED_AT_ONCE,
    LONGEST_WAIT_MS,
    MOVED_AT_ONCE,
    Fed,
    Settled,
    Taken,
    Telling,
    Waiting,
    WebhookState,
    queued,
)
from agent_bus.store.postgres.link.connections import one
from agent_bus.store.postgres.read import reads
from agent_bus.store.postgres.write.transaction import Applied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent_bus.core.clock import Clock
    from agent_bus.core.model import AgentName, Delivery, Seq
    from agent_bus.core.states import WebhookEvent
    from agent_bus.store.outgoing import Report
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.link.pool import Readers
    from agent_bus.store.postgres.write.writer import Writer

T = TypeVar("T")

ADOPT: Final = "INSERT INTO webhook (name) SELECT unnest(%s::text[]) ON CONFLICT (name) DO NOTHING"
FORGET: Final = "DELETE FROM webhook WHERE name <> ALL(%s) RETURNING name"
FORGET_EVENTS: Final = "DELETE FROM webhook_event WHERE webhook = ANY(%s)"
FORGET_STAMPS: Final = "DELETE FROM webhook_stamp"
FORGET_CURSOR: Final = "DELETE FROM meta WHERE key = %s"
READ_CURSOR: Final = "SELECT value FROM meta WHERE key = %s"
KEEP_CURSOR: Final = (
    "INSERT INTO meta (key, value) VALUES (%s, %s)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
UNSTICK: Final = (
    "UPDATE webhook_event SET next_at = %(now)s, queued_at = least(queued_at, %(now)s)"
    " WHERE webhook = ANY(%(names)s) AND next_at > %(latest)s"
)
UNHOLD: Final = "UPDATE webhook SET held_until = 0 WHERE name = ANY(%s) AND held_until > %s"
NEW_DELIVERIES: Final = (
    "(SELECT seq, agent FROM delivery WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s)"
    " UNION ALL"
    " (SELECT seq, agent FROM archive_delivery WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s)"
    " ORDER BY seq LIMIT %(limit)s"
)
STAMPS: Final = "SELECT pk, kind, seq, agent, at FROM webhook_stamp ORDER BY pk LIMIT %s"
DROP_STAMPS: Final = "DELETE FROM webhook_stamp WHERE pk <= %s"
HAS_STAMPS: Final = "SELECT EXISTS (SELECT 1 FROM webhook_stamp)"
QUEUE: Final = (
    "INSERT INTO webhook_event (webhook, kind, seq, at, queued_at, next_at)"
    " SELECT w.webhook, w.kind, w.seq, w.at, w.queued_at, w.queued_at"
    " FROM json_to_recordset(%s::json)"
    " AS w(webhook text, kind text, seq bigint, at bigint, queued_at bigint)"
)
COUNT_ADDED: Final = "UPDATE webhook SET pending = pending + %s WHERE name = %s RETURNING pending"
DROP_OLDEST: Final = (
    "DELETE FROM webhook_event WHERE pk IN"
    " (SELECT pk FROM webhook_event WHERE webhook = %s ORDER BY webhook, queued_at, pk LIMIT %s)"
)
GIVE_UP: Final = (
    "DELETE FROM webhook_event WHERE pk IN (SELECT pk FROM webhook_event"
    " WHERE webhook = %s AND queued_at <= %s ORDER BY webhook, queued_at, pk LIMIT %s)"
)
COUNT_GIVEN_UP: Final = (
    "UPDATE webhook SET pending = pending - %(count)s, dead = dead + %(count)s,"
    " lost_at = %(now)s WHERE name = %(name)s"
)
COUNT_DROPPED: Final = (
    "UPDATE webhook SET pending = pending - %(count)s, dropped = dropped + %(count)s,"
    " lost_at = %(now)s WHERE name = %(name)s"
)
DELETE: Final = "DELETE FROM webhook_event WHERE pk = ANY(%s)"
POSTPONE: Final = (
    "UPDATE webhook_event e SET attempts = e.attempts + w.tried, next_at = w.next_at"
    " FROM json_to_recordset(%s::json) AS w(pk bigint, tried bigint, next_at bigint)"
    " WHERE e.pk = w.pk"
)
NOTE_TOLD: Final = (
    "INSERT INTO telling (seq, name, at)"
    " SELECT e.seq, e.webhook, w.at FROM webhook_event e"
    " JOIN json_to_recordset(%s::json) AS w(pk bigint, at bigint) ON w.pk = e.pk"
    " ON CONFLICT DO NOTHING"
)
TELLINGS: Final = "SELECT name, seq, at FROM telling WHERE seq = ANY(%s)"
COUNT_SETTLED: Final = "UPDATE webhook SET pending = pending - %s WHERE name = %s"
REPORT: Final = (
    "UPDATE webhook SET delivered = delivered + %s, dead = dead + %s, failures = %s,"
    " held_until = %s, succeeded_at = coalesce(%s, succeeded_at),"
    " failed_at = coalesce(%s, failed_at), error = coalesce(%s, error),"
    " disabled_at = coalesce(%s, disabled_at), lost_at = coalesce(%s, lost_at) WHERE name = %s"
)
HOLD: Final = "SELECT failures, held_until, disabled_at FROM webhook WHERE name = %s"
DUE_EVENTS: Final = (
    "SELECT pk, kind, seq, at, attempts, queued_at FROM webhook_event"
    " WHERE webhook = %s AND next_at <= %s ORDER BY webhook, next_at, pk LIMIT %s"
)
NEXT_EVENT: Final = (
    "SELECT next_at FROM webhook_event WHERE webhook = %s ORDER BY webhook, next_at, pk LIMIT 1"
)
DELIVERIES: Final = tuple(
    f"SELECT {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS} FROM {delivery} d"
    f" JOIN {message} m ON m.pk = d.message_pk WHERE d.seq = ANY(%s)"
    for message, delivery in (("message", "delivery"), ("archive_message", "archive_delivery"))
)
HASTEN: Final = (
    "UPDATE webhook_event SET next_at = %(now)s WHERE pk IN (SELECT pk FROM webhook_event"
    " WHERE webhook = %(name)s AND next_at > %(now)s ORDER BY webhook, next_at, pk"
    " LIMIT %(limit)s)"
)
RELEASE: Final = (
    "UPDATE webhook SET failures = 0, held_until = 0, disabled_at = NULL WHERE name = %s"
)
DUE: Final = (
    "SELECT name FROM webhook w WHERE w.disabled_at IS NULL AND w.held_until <= %(now)s"
    " AND EXISTS (SELECT 1 FROM webhook_event e WHERE e.webhook = w.name"
    " AND e.next_at <= %(now)s OFFSET 0) ORDER BY name"
)
STATES: Final = (
    "SELECT w.name, w.pending, (SELECT e.queued_at FROM webhook_event e WHERE e.webhook = w.name"
    " ORDER BY e.webhook, e.queued_at, e.pk LIMIT 1), w.delivered, w.dead, w.dropped, w.failures,"
    " w.held_until, w.succeeded_at, w.failed_at, w.error, w.disabled_at, w.lost_at"
    " FROM webhook w ORDER BY w.name"
)


class PostgresOutgoing:
    """Shares the connections of the store that it belongs to."""

    def __init__(self, *, readers: Readers, writer: Writer, clock: Clock) -> None:
        self._readers = readers
        self._writer = writer
        self._clock = clock

    def note(self, kinds: Iterable[WebhookEvent]) -> None:
        """Note stamps of these kinds from now on."""
        self._writer.noting.kinds = frozenset(kinds)

    def adopt(self, names: Sequence[str]) -> None:
        """Keep these webhooks, and no others."""
        steady = self._clock.steady_ms()
        self._run(lambda c: _adopt(c, names, steady=steady))

    def feed(
        self, wanting: Callable[[WebhookEvent, AgentName], Sequence[str]], *, limit: int
    ) -> Fed:
        """Queue what is new."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        return self._run(lambda c: _feed(c, wanting, limit=limit, now=now, steady=steady))

    def tellings(self, seqs: Sequence[Seq]) -> list[Telling]:
        """When the operator was told of these deliveries; a standby may be behind."""
        wanted = (list(seqs),)
        found = self._readers.run(lambda c: [Telling(*row) for row in c.execute(TELLINGS, wanted)])
        return sorted(found, key=lambda one: (one.at, one.name))

    def exchange(
        self, name: str, settled: Sequence[Settled], report: Report | None, *, take: int
    ) -> Taken:
        """Keep what became of events, and take those that are due."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()

        def apply(connection: NativeConnection) -> Taken:
            _settle(connection, name, settled, report)
            if report is not None and report.given_up_before is not None:
                bindings = (name, report.given_up_before, MOVED_AT_ONCE)
                if given_up := connection.execute(GIVE_UP, bindings).rowcount:
                    counted = {"count": given_up, "now": now, "name": name}
                    connection.execute(COUNT_GIVEN_UP, counted)
            return _take(connection, name, steady=steady, limit=take)

        return self._run(apply)

    def hasten(self, name: str) -> bool:
        """Let what waits be due now."""
        bindings = {"now": self._clock.steady_ms(), "name": name, "limit": MOVED_AT_ONCE}

        def apply(connection: NativeConnection) -> bool:
            connection.execute(RELEASE, (name,))
            return connection.execute(HASTEN, bindings).rowcount == MOVED_AT_ONCE

        return self._run(apply)

    def has_stamps(self) -> bool:
        """Whether stamps wait."""
        return self._readers.run(lambda c: bool(one(c, HAS_STAMPS)))

    def due(self) -> list[str]:
        """The webhooks that have something to deliver now; a standby may be behind."""
        now = {"now": self._clock.steady_ms()}
        return self._readers.run(lambda c: [str(name) for (name,) in c.execute(DUE, now)])

    def states(self) -> list[WebhookState]:
        """All webhooks, by name."""
        return self._readers.run(lambda c: [WebhookState(*row) for row in c.execute(STATES)])

    def _run(self, apply: Callable[[NativeConnection], T]) -> T:
        """Read and write on the primary: a standby may not know what was settled just now."""
        found: T = self._writer.do(Applied(apply, is_quick=True))
        return found


def _cursor(connection: NativeConnection) -> int | None:
    row = connection.execute(READ_CURSOR, (CURSOR,)).fetchone()
    return None if row is None else int(row[0])


def _adopt(connection: NativeConnection, names: Sequence[str], *, steady: int) -> None:
    execute = connection.execute
    listed = list(names)
    gone = [name for (name,) in execute(FORGET, (listed,))]
    if gone:
        execute(FORGET_EVENTS, (gone,))
    execute(ADOPT, (listed,))
    latest = steady + LONGEST_WAIT_MS
    execute(UNSTICK, {"now": steady, "names": listed, "latest": latest})
    execute(UNHOLD, (listed, latest))
    if not names:
        execute(FORGET_STAMPS)
        execute(FORGET_CURSOR, (CURSOR,))
    elif _cursor(connection) is None:
        execute(KEEP_CURSOR, (CURSOR, str(reads.head(connection))))


def _feed(
    connection: NativeConnection,
    wanting: Callable[[WebhookEvent, AgentName], Sequence[str]],
    *,
    limit: int,
    now: int,
    steady: int,
) -> Fed:
    execute = connection.execute
    cursor = _cursor(connection)
    if cursor is None:  # another hub's settings know no webhook
        return Fed({}, has_more=False)
    new = execute(NEW_DELIVERIES, {"after": cursor, "limit": FED_AT_ONCE}).fetchall()
    stamps = execute(STAMPS, (FED_AT_ONCE,)).fetchall()
    found: list[tuple[WebhookEvent, int, AgentName, int | None]] = [
        (states.MESSAGE, seq, agent, None) for seq, agent in new
    ]
    found += [(kind, seq, agent, at) for _, kind, seq, agent, at in stamps]
    events, added = queued(found, wanting)
    if events:
        names = ("webhook", "kind", "seq", "at", "queued_at")
        document = [dict(zip(names, (*event, steady), strict=True)) for event in events]
        execute(QUEUE, (json.dumps(document),))
    for name, count in added.items():
        row = execute(COUNT_ADDED, (count, name)).fetchone()
        over = 0 if row is None else row[0] - limit
        if over > 0:
            execute(DROP_OLDEST, (name, over))
            execute(COUNT_DROPPED, {"count": over, "now": now, "name": name})
    if new:
        execute(KEEP_CURSOR, (CURSOR, str(new[-1][0])))
    if stamps:
        execute(DROP_STAMPS, (stamps[-1][0],))
    return Fed(added, has_more=FED_AT_ONCE in {len(new), len(stamps)})


def _settle(
    connection: NativeConnection, name: str, settled: Sequence[Settled], report: Report | None
) -> None:
    execute = connection.execute
    gone = [one.pk for one in settled if one.next_at is None]
    told = [{"pk": s.pk, "at": s.told_at} for s in settled if s.told_at is not None]
    later = [
        {"pk": s.pk, "tried": int(s.is_attempt), "next_at": s.next_at}
        for s in settled
        if s.next_at is not None
    ]
    if told:
        execute(NOTE_TOLD, (json.dumps(told),))
    if gone:
        execute(COUNT_SETTLED, (execute(DELETE, (gone,)).rowcount, name))
    if later:
        execute(POSTPONE, (json.dumps(later),))
    if report is not None:
        execute(
            REPORT,
            (
                report.delivered, report.dead, report.failures, report.held_until,
                report.succeeded_at, report.failed_at, report.error, report.disabled_at,
                report.lost_at, name,
            ),
        )  # fmt: skip


def _take(connection: NativeConnection, name: str, *, steady: int, limit: int) -> Taken:
    hold = connection.execute(HOLD, (name,)).fetchone()
    if hold is None:
        return Taken((), None, 0)
    failures, held_until, disabled_at = hold
    if disabled_at is not None:
        return Taken((), None, failures, is_disabled=True)
    due = []
    if held_until <= steady:
        due = connection.execute(DUE_EVENTS, (name, steady, limit)).fetchall()
    found = _deliveries(connection, [row[2] for row in due])
    lost = [Settled(row[0], None) for row in due if row[2] not in found]
    _settle(connection, name, lost, None)  # dropped with the archive
    events = tuple(
        Waiting(
            pk, kind, found[seq].message.created_at if at is None else at, attempts, queued_at,
            found[seq],
        )
        for pk, kind, seq, at, attempts, queued_at in due
        if seq in found
    )  # fmt: skip
    next_at = None
    if not events:
        row = connection.execute(NEXT_EVENT, (name,)).fetchone()
        next_at = None if row is None else max(row[0], held_until)
    return Taken(events, next_at, failures)


def _deliveries(connection: NativeConnection, seqs: list[int]) -> dict[int, Delivery]:
    found: dict[int, Delivery] = {}
    missing = sorted(set(seqs))
    for sql in DELIVERIES:
        if missing:
            for row in connection.execute(sql, (missing,)):
                delivery = rows.joined(row)
                found[delivery.seq] = delivery
            missing = [seq for seq in missing if seq not in found]
    return found
