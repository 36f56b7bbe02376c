"""What the storm guard keeps, in SQLite: see `store/guards/storms.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from agent_bus.core.guards.storms.withheld import HeldTimes
from agent_bus.store.guards.storms import COLUMNS, KEPT_MS, HeldDelivery, kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from agent_bus.core.model import Seq
    from agent_bus.runtime.greenlets import ThreadedPool
    from agent_bus.store.guards.storms import KeptStorm
    from agent_bus.store.sqlite.write.writer import Writer

KEEP: Final = f"INSERT OR REPLACE INTO storm ({COLUMNS}) VALUES (?, ?, ?, ?, ?, NULL)"
RELEASE: Final = "UPDATE storm SET released_at = ? WHERE key = ? AND released_at IS NULL"
NOTE: Final = (
    "INSERT INTO held_delivery (seq, agent, storm, held_at) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
LET_GO: Final = "UPDATE held_delivery SET let_go_at = ? WHERE seq = ? AND let_go_at IS NULL"
LET_GO_OF: Final = "UPDATE held_delivery SET let_go_at = ? WHERE storm = ? AND let_go_at IS NULL"
FORGET_STORMS: Final = "DELETE FROM storm WHERE released_at < ?"
FORGET: Final = "DELETE FROM held_delivery WHERE let_go_at < ?"
HELD: Final = f"SELECT {COLUMNS} FROM storm WHERE released_at IS NULL"
ALL: Final = f"SELECT {COLUMNS} FROM storm"
_WAITS: Final = "d.fetched_at IS NULL AND d.read_at IS NULL AND d.expired_at IS NULL"
"""What a mailbox counts as unfetched: an ack without a fetch, or an expiry, ends that, too."""
WITHHELD: Final = (
    "SELECT h.seq, h.agent, h.storm, h.held_at FROM held_delivery h JOIN delivery d"
    f" ON d.seq = h.seq WHERE h.let_go_at IS NULL AND {_WAITS}"
)
UNFETCHED: Final = f"SELECT {_WAITS} FROM delivery d WHERE d.seq = ?"
TIMES: Final = "SELECT held_at, let_go_at FROM held_delivery WHERE seq = ?"


class SqliteStorms:
    """Shares the connections of the store that it belongs to."""

    def __init__(self, *, readers: ThreadedPool[apsw.Connection], writer: Writer) -> None:
        self._readers = readers
        self._writer = writer

    def keep(self, storm: KeptStorm) -> None:
        """Keep a held storm."""
        values = (storm.key, storm.signal, json.dumps(storm.agents), storm.since_at, storm.held_at)
        self._writer.run(lambda c: _execute(c, KEEP, values))

    def release(self, key: str, *, at: int) -> None:
        """Note that a storm is held no more."""

        def apply(connection: apsw.Connection) -> None:
            connection.execute(RELEASE, (at, key))
            connection.execute(LET_GO_OF, (at, key))
            connection.execute(FORGET, (at - KEPT_MS,))
            connection.execute(FORGET_STORMS, (at - KEPT_MS,))

        self._writer.run(apply)

    def note(self, held: Sequence[HeldDelivery], let_go: Sequence[Seq], *, at: int) -> None:
        """Note deliveries that are held, and others that are let go."""

        def apply(connection: apsw.Connection) -> None:
            connection.executemany(NOTE, held)
            connection.executemany(LET_GO, [(at, seq) for seq in let_go])

        self._writer.run(apply)

    def held(self) -> list[KeptStorm]:
        """The storms that are held."""
        return self._readers.run(lambda c: kept(c.execute(HELD)))

    def newest(self, *, limit: int) -> list[KeptStorm]:
        """Storms that are or were held, the newest first."""
        return self._readers.run(lambda c: kept(c.execute(ALL))[-limit:][::-1])

    def withheld(self) -> list[HeldDelivery]:
        """The deliveries that wait."""
        return self._readers.run(
            lambda c: sorted(HeldDelivery(*row) for row in c.execute(WITHHELD))
        )

    def unfetched(self, seqs: Sequence[Seq]) -> list[Seq]:
        """Which of these deliveries nobody has fetched."""

        def read(connection: apsw.Connection) -> list[Seq]:
            found = ((seq, connection.execute(UNFETCHED, (seq,)).fetchone()) for seq in seqs)
            return [seq for seq, row in found if row is not None and row[0]]

        return self._readers.run(read)

    def times(self, seqs: Sequence[Seq]) -> dict[Seq, HeldTimes]:
        """When the wakes of some deliveries were withheld."""

        def read(connection: apsw.Connection) -> dict[Seq, HeldTimes]:
            found = ((seq, connection.execute(TIMES, (seq,)).fetchone()) for seq in seqs)
            return {seq: HeldTimes(*row) for seq, row in found if row is not None}

        return self._readers.run(read)


def _execute(connection: apsw.Connection, sql: str, values: tuple[object, ...]) -> None:
    connection.execute(sql, values)
