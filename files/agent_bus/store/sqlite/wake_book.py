"""Pauses and counts of wakes in SQLite: see `store/guards/wake_book.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.core.guards.pauses import Pause
from agent_bus.core.guards.wakes import (
    COUNTS_KEPT_MS,
    HOUR_MS,
    MINUTE_MS,
    MINUTES_KEPT_MS,
    UNKNOWN_SENDER,
    WakeCount,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from agent_bus.core.guards.pauses import Scope
    from agent_bus.core.guards.wakes import Wake
    from agent_bus.runtime.greenlets import ThreadedPool
    from agent_bus.store.sqlite.write.writer import Writer

PAUSES: Final = (
    "SELECT scope, name, reason, since_at, until_at, note FROM hold ORDER BY scope, name"
)
PUT_PAUSE: Final = (
    "INSERT OR REPLACE INTO hold (scope, name, reason, since_at, until_at, note)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
END_PAUSE: Final = "DELETE FROM hold WHERE scope = ? AND name = ?"
FORGET_PAUSES: Final = "DELETE FROM hold WHERE until_at <= ?"
SENDER: Final = (
    "SELECT sender FROM delivery WHERE seq = ?1"
    " UNION ALL SELECT sender FROM archive_delivery WHERE seq = ?1"
)
COUNT: Final = (
    "INSERT INTO wake_count (slot_at, agent, sender, kind, count) VALUES (?, ?, ?, ?, 1)"
    " ON CONFLICT (slot_at, agent, sender, kind) DO UPDATE SET count = count + 1"
)
COUNTS: Final = (
    "SELECT slot_at, agent, sender, kind, count FROM wake_count WHERE slot_at >= ?"
    " ORDER BY slot_at, agent, sender, kind"
)
MERGE: Final = (
    "INSERT INTO wake_count (slot_at, agent, sender, kind, count)"
    f" SELECT slot_at - slot_at % {HOUR_MS}, agent, sender, kind, sum(count) FROM wake_count"
    f" WHERE slot_at >= ?1 AND slot_at < ?2 AND slot_at % {HOUR_MS} > 0 GROUP BY 1, 2, 3, 4"
    " ON CONFLICT (slot_at, agent, sender, kind) DO UPDATE SET count = count + excluded.count"
)
DROP_MERGED: Final = (
    f"DELETE FROM wake_count WHERE slot_at >= ?1 AND slot_at < ?2 AND slot_at % {HOUR_MS} > 0"
)
DROP_COUNTS: Final = "DELETE FROM wake_count WHERE slot_at < ?"


class SqliteWakeBook:
    """See `agent_bus.store.guards.wake_book.WakeBook`."""

    def __init__(self, *, readers: ThreadedPool[apsw.Connection], writer: Writer) -> None:
        self._readers = readers
        self._writer = writer

    def pauses(self) -> list[Pause]:
        """All pauses."""
        return self._readers.run(lambda c: [Pause(*row) for row in c.execute(PAUSES)])

    def put_pause(self, pause: Pause) -> None:
        """Keep a pause."""
        values = (
            pause.scope, pause.name, pause.reason, pause.since_at, pause.until_at, pause.note,
        )  # fmt: skip
        self._writer.run(lambda c: c.execute(PUT_PAUSE, values))

    def end_pause(self, scope: Scope, name: str) -> None:
        """Forget a pause."""
        self._writer.run(lambda c: c.execute(END_PAUSE, (scope, name)))

    def note(self, wakes: Sequence[Wake]) -> None:
        """Count wakes; nobody waits."""

        def apply(connection: apsw.Connection) -> None:
            for wake in wakes:
                row = connection.execute(SENDER, (wake.seq,)).fetchone()
                sender = UNKNOWN_SENDER if row is None else row[0]
                slot_at = wake.at - wake.at % MINUTE_MS
                connection.execute(COUNT, (slot_at, wake.agent, sender, wake.kind))

        self._writer.post(apply)

    def counts(self, *, since: int) -> list[WakeCount]:
        """Counts since a time."""
        return self._readers.run(
            lambda c: [WakeCount(*row) for row in c.execute(COUNTS, (since,))]
        )

    def tidy(self, *, now: int) -> None:
        """Merge and drop; nobody waits."""
        until = (now - MINUTES_KEPT_MS) // HOUR_MS * HOUR_MS

        def apply(connection: apsw.Connection) -> None:
            within = (until - MINUTES_KEPT_MS, until)
            connection.execute(MERGE, within)
            connection.execute(DROP_MERGED, within)
            connection.execute(DROP_COUNTS, (now - COUNTS_KEPT_MS,))
            connection.execute(FORGET_PAUSES, (now,))

        self._writer.post(apply)
