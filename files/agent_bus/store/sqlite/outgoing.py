"""Events for webhooks in SQLite: see `store/outgoing.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import states
from agent_bus.store import rows
from agent_bus.store.outgoing import (
    CURSOR,
    FED_AT_ONCE,
    LONGEST_WAIT_MS,
    MOVED_AT_ONCE,
    Fed,
    Noting,
    Settled,
    Taken,
    Telling,
    Waiting,
    WebhookState,
    queued,
)
from agent_bus.store.sqlite.read import reads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import apsw

    from agent_bus.core.clock import Clock
    from agent_bus.core.model import AgentName, Delivery, Seq
    from agent_bus.core.states import WebhookEvent
    from agent_bus.runtime.greenlets import ThreadedPool
    from agent_bus.store.outgoing import Report
    from agent_bus.store.sqlite.write.writer import Writer

ADOPT: Final = "INSERT INTO webhook (name) VALUES (?) ON CONFLICT DO NOTHING"
NAMES: Final = "SELECT name FROM webhook"
FORGET: Final = "DELETE FROM webhook WHERE name = ?"
FORGET_EVENTS: Final = "DELETE FROM webhook_event WHERE webhook = ?"
FORGET_STAMPS: Final = "DELETE FROM webhook_stamp"
FORGET_CURSOR: Final = "DELETE FROM meta WHERE key = ?"
READ_CURSOR: Final = "SELECT value FROM meta WHERE key = ?"
KEEP_CURSOR: Final = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"
UNSTICK: Final = (
    "UPDATE webhook_event SET next_at = ?1, queued_at = min(queued_at, ?1)"
    " WHERE webhook = ?2 AND next_at > ?3"
)
UNHOLD: Final = "UPDATE webhook SET held_until = 0 WHERE name = ? AND held_until > ?"
NEW_DELIVERIES: Final = (
    "SELECT seq, agent FROM delivery WHERE seq > ?1"
    " UNION ALL SELECT seq, agent FROM archive_delivery WHERE seq > ?1 ORDER BY seq LIMIT ?2"
)
STAMPS: Final = "SELECT pk, kind, seq, agent, at FROM webhook_stamp ORDER BY pk LIMIT ?"
DROP_STAMPS: Final = "DELETE FROM webhook_stamp WHERE pk <= ?"
HAS_STAMPS: Final = "SELECT EXISTS (SELECT 1 FROM webhook_stamp)"
QUEUE: Final = (
    "INSERT INTO webhook_event (webhook, kind, seq, at, queued_at, next_at)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?5)"
)
COUNT_ADDED: Final = "UPDATE webhook SET pending = pending + ? WHERE name = ? RETURNING pending"
DROP_OLDEST: Final = (
    "DELETE FROM webhook_event WHERE pk IN"
    " (SELECT pk FROM webhook_event WHERE webhook = ? ORDER BY queued_at, pk LIMIT ?)"
)
GIVE_UP: Final = (
    "DELETE FROM webhook_event WHERE pk IN (SELECT pk FROM webhook_event"
    " WHERE webhook = ? AND queued_at <= ? ORDER BY queued_at, pk LIMIT ?)"
)
COUNT_GIVEN_UP: Final = (
    "UPDATE webhook SET pending = pending - ?1, dead = dead + ?1, lost_at = ?2 WHERE name = ?3"
)
COUNT_DROPPED: Final = (
    "UPDATE webhook SET pending = pending - ?1, dropped = dropped + ?1, lost_at = ?2"
    " WHERE name = ?3"
)
DELETE: Final = "DELETE FROM webhook_event WHERE pk = ?"
POSTPONE: Final = "UPDATE webhook_event SET attempts = attempts + ?, next_at = ? WHERE pk = ?"
NOTE_TOLD: Final = (
    "INSERT INTO telling (seq, name, at)"
    " SELECT seq, webhook, ? FROM webhook_event WHERE pk = ? ON CONFLICT DO NOTHING"
)
TELLINGS: Final = "SELECT name, seq, at FROM telling WHERE seq = ?"
COUNT_SETTLED: Final = "UPDATE webhook SET pending = pending - ? WHERE name = ?"
REPORT: Final = (
    "UPDATE webhook SET delivered = delivered + ?, dead = dead + ?, failures = ?, held_until = ?,"
    " succeeded_at = coalesce(?, succeeded_at), failed_at = coalesce(?, failed_at),"
    " error = coalesce(?, error), disabled_at = coalesce(?, disabled_at),"
    " lost_at = coalesce(?, lost_at) WHERE name = ?"
)
HOLD: Final = "SELECT failures, held_until, disabled_at FROM webhook WHERE name = ?"
DUE_EVENTS: Final = (
    "SELECT pk, kind, seq, at, attempts, queued_at FROM webhook_event"
    " WHERE webhook = ? AND next_at <= ? ORDER BY next_at, pk LIMIT ?"
)
NEXT_EVENT: Final = (
    "SELECT next_at FROM webhook_event WHERE webhook = ? ORDER BY next_at, pk LIMIT 1"
)
DELIVERY: Final = tuple(
    f"SELECT {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS} FROM {delivery} d"
    f" JOIN {message} m ON m.pk = d.message_pk WHERE d.seq = ?"
    for message, delivery in (("message", "delivery"), ("archive_message", "archive_delivery"))
)
HASTEN: Final = (
    "UPDATE webhook_event SET next_at = ?1 WHERE pk IN (SELECT pk FROM webhook_event"
    " WHERE webhook = ?2 AND next_at > ?1 ORDER BY next_at, pk LIMIT ?3)"
)
RELEASE: Final = (
    "UPDATE webhook SET failures = 0, held_until = 0, disabled_at = NULL WHERE name = ?"
)
DUE: Final = (
    "SELECT name FROM webhook w WHERE w.disabled_at IS NULL AND w.held_until <= ?1"
    " AND EXISTS (SELECT 1 FROM webhook_event e WHERE e.webhook = w.name AND e.next_at <= ?1)"
)
STATES: Final = (
    "SELECT w.name, w.pending, (SELECT e.queued_at FROM webhook_event e WHERE e.webhook = w.name"
    " ORDER BY e.queued_at, e.pk LIMIT 1), w.delivered, w.dead, w.dropped, w.failures,"
    " w.held_until, w.succeeded_at, w.failed_at, w.error, w.disabled_at, w.lost_at FROM webhook w"
    " ORDER BY name"
)


class SqliteOutgoing:
    """Shares the connections of the store that it belongs to."""

    def __init__(
        self,
        *,
        readers: ThreadedPool[apsw.Connection],
        writer: Writer,
        noting: Noting,
        clock: Clock,
    ) -> None:
        self._readers = readers
        self._writer = writer
        self._noting = noting
        self._clock = clock

    def note(self, kinds: Iterable[WebhookEvent]) -> None:
        """Note stamps of these kinds from now on."""
        self._noting.kinds = frozenset(kinds)

    def adopt(self, names: Sequence[str]) -> None:
        """Keep these webhooks, and no others."""
        steady = self._clock.steady_ms()
        self._writer.run(lambda c: _adopt(c, names, steady=steady))

    def feed(
        self, wanting: Callable[[WebhookEvent, AgentName], Sequence[str]], *, limit: int
    ) -> Fed:
        """Queue what is new."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        return self._writer.run(lambda c: _feed(c, wanting, limit=limit, now=now, steady=steady))

    def tellings(self, seqs: Sequence[Seq]) -> list[Telling]:
        """When the operator was told of these deliveries."""
        found = self._readers.run(
            lambda c: [Telling(*row) for seq in seqs for row in c.execute(TELLINGS, (seq,))]
        )
        return sorted(found, key=lambda one: (one.at, one.name))

    def exchange(
        self, name: str, settled: Sequence[Settled], report: Report | None, *, take: int
    ) -> Taken:
        """Keep what became of events, and take those that are due."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()

        def apply(connection: apsw.Connection) -> Taken:
            _settle(connection, name, settled, report)
            if report is not None and report.given_up_before is not None:
                bindings = (name, report.given_up_before, MOVED_AT_ONCE)
                connection.execute(GIVE_UP, bindings)
                if given_up := connection.changes():
                    connection.execute(COUNT_GIVEN_UP, (given_up, now, name))
            return _take(connection, name, steady=steady, limit=take)

        return self._writer.run(apply)

    def hasten(self, name: str) -> bool:
        """Let what waits be due now."""
        steady = self._clock.steady_ms()

        def apply(connection: apsw.Connection) -> bool:
            connection.execute(RELEASE, (name,))
            connection.execute(HASTEN, (steady, name, MOVED_AT_ONCE))
            return connection.changes() == MOVED_AT_ONCE

        return self._writer.run(apply)

    def has_stamps(self) -> bool:
        """Whether stamps wait."""
        return self._readers.run(lambda c: bool(_first(c, HAS_STAMPS)))

    def due(self) -> list[str]:
        """The webhooks that have something to deliver now."""
        steady = self._clock.steady_ms()
        return self._readers.run(lambda c: [str(name) for (name,) in c.execute(DUE, (steady,))])

    def states(self) -> list[WebhookState]:
        """All webhooks, by name."""
        return self._readers.run(lambda c: [WebhookState(*row) for row in c.execute(STATES)])


def _first(connection: apsw.Connection, sql: str, bindings: tuple[Any, ...] = ()) -> Any:  # noqa: ANN401 - whatever the column has
    row = connection.execute(sql, bindings).fetchone()
    return None if row is None else row[0]


def _adopt(connection: apsw.Connection, names: Sequence[str], *, steady: int) -> None:
    execute = connection.execute
    for (name,) in execute(NAMES).fetchall():
        if name not in names:
            execute(FORGET_EVENTS, (name,))
            execute(FORGET, (name,))
    for name in names:
        execute(ADOPT, (name,))
        execute(UNSTICK, (steady, name, steady + LONGEST_WAIT_MS))
        execute(UNHOLD, (name, steady + LONGEST_WAIT_MS))
    if not names:
        execute(FORGET_STAMPS)
        execute(FORGET_CURSOR, (CURSOR,))
    elif _first(connection, READ_CURSOR, (CURSOR,)) is None:
        execute(KEEP_CURSOR, (CURSOR, str(reads.head(connection))))


def _feed(
    connection: apsw.Connection,
    wanting: Callable[[WebhookEvent, AgentName], Sequence[str]],
    *,
    limit: int,
    now: int,
    steady: int,
) -> Fed:
    execute = connection.execute
    cursor = _first(connection, READ_CURSOR, (CURSOR,))
    if cursor is None:  # another hub's settings know no webhook
        return Fed({}, has_more=False)
    new: list[Any] = execute(NEW_DELIVERIES, (int(cursor), FED_AT_ONCE)).fetchall()
    stamps: list[Any] = execute(STAMPS, (FED_AT_ONCE,)).fetchall()
    found: list[tuple[WebhookEvent, int, AgentName, int | None]] = [
        (states.MESSAGE, seq, agent, None) for seq, agent in new
    ]
    found += [(kind, seq, agent, at) for _, kind, seq, agent, at in stamps]
    events, added = queued(found, wanting)
    for event in events:
        execute(QUEUE, (*event, steady))
    for name, count in added.items():
        pending = _first(connection, COUNT_ADDED, (count, name)) or 0
        if pending > limit:
            execute(DROP_OLDEST, (name, pending - limit))
            execute(COUNT_DROPPED, (pending - limit, now, name))
    if new:
        execute(KEEP_CURSOR, (CURSOR, str(new[-1][0])))
    if stamps:
        execute(DROP_STAMPS, (stamps[-1][0],))
    return Fed(added, has_more=FED_AT_ONCE in {len(new), len(stamps)})


def _settle(
    connection: apsw.Connection, name: str, settled: Sequence[Settled], report: Report | None
) -> None:
    execute = connection.execute
    gone = 0
    for one in settled:
        if one.told_at is not None:
            execute(NOTE_TOLD, (one.told_at, one.pk))
        if one.next_at is None:
            execute(DELETE, (one.pk,))
            gone += connection.changes()
        else:
            execute(POSTPONE, (int(one.is_attempt), one.next_at, one.pk))
    if gone:
        execute(COUNT_SETTLED, (gone, name))
    if report is not None:
        execute(
            REPORT,
            (
                report.delivered, report.dead, report.failures, report.held_until,
                report.succeeded_at, report.failed_at, report.error, report.disabled_at,
                report.lost_at, name,
            ),
        )  # fmt: skip


def _take(connection: apsw.Connection, name: str, *, steady: int, limit: int) -> Taken:
    hold = connection.execute(HOLD, (name,)).fetchone()
    if hold is None:
        return Taken((), None, 0)
    failures, held_until, disabled_at = hold
    if disabled_at is not None:
        return Taken((), None, failures, is_disabled=True)
    events: list[Waiting] = []
    if held_until <= steady:
        due: list[Any] = connection.execute(DUE_EVENTS, (name, steady, limit)).fetchall()
        for pk, kind, seq, at, attempts, queued_at in due:
            delivery = _delivery(connection, seq)
            if delivery is None:  # dropped with the archive
                _settle(connection, name, [Settled(pk, None)], None)
                continue
            happened_at = delivery.message.created_at if at is None else at
            events.append(Waiting(pk, kind, happened_at, attempts, queued_at, delivery))
    next_at = None if events else _first(connection, NEXT_EVENT, (name,))
    if next_at is not None:
        next_at = max(next_at, held_until)
    return Taken(tuple(events), next_at, failures)


def _delivery(connection: apsw.Connection, seq: int) -> Delivery | None:
    for sql in DELIVERY:
        row = connection.execute(sql, (seq,)).fetchone()
        if row is not None:
            return rows.joined(row)
    return None
