"""What the storm guard keeps, in PostgreSQL: see `store/guards/storms.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.guards.storms.withheld import HeldTimes
from agent_bus.core.model import Seq
from agent_bus.store.guards.storms import COLUMNS, KEPT_MS, HeldDelivery, kept
from agent_bus.store.postgres.write.transaction import Applied

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.store.guards.storms import KeptStorm
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.link.pool import Readers
    from agent_bus.store.postgres.write.writer import Writer

KEEP: Final = (
    f"INSERT INTO storm ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, NULL) ON CONFLICT (key)"
    " DO UPDATE SET signal = excluded.signal, agents = excluded.agents,"
    " since_at = excluded.since_at, held_at = excluded.held_at, released_at = NULL"
)
RELEASE: Final = "UPDATE storm SET released_at = %s WHERE key = %s AND released_at IS NULL"
NOTE: Final = (
    "INSERT INTO held_delivery (seq, agent, storm, held_at)"
    " SELECT h.seq, h.agent, h.storm, h.held_at FROM json_to_recordset(%s::json)"
    " AS h(seq bigint, agent text, storm text, held_at bigint) ON CONFLICT (seq) DO NOTHING"
)
LET_GO: Final = "UPDATE held_delivery SET let_go_at = %s WHERE seq = ANY(%s) AND let_go_at IS NULL"
LET_GO_OF: Final = "UPDATE held_delivery SET let_go_at = %s WHERE storm = %s AND let_go_at IS NULL"
FORGET_STORMS: Final = "DELETE FROM storm WHERE released_at < %s"
FORGET: Final = "DELETE FROM held_delivery WHERE let_go_at < %s"
HELD: Final = f"SELECT {COLUMNS} FROM storm WHERE released_at IS NULL"
ALL: Final = f"SELECT {COLUMNS} FROM storm"
_WAITS: Final = "d.fetched_at IS NULL AND d.read_at IS NULL AND d.expired_at IS NULL"
"""What a mailbox counts as unfetched: an ack without a fetch, or an expiry, ends that, too."""
WITHHELD: Final = (
    "SELECT h.seq, h.agent, h.storm, h.held_at FROM held_delivery h CROSS JOIN LATERAL ("
    f"SELECT FROM delivery d WHERE d.seq = h.seq AND {_WAITS} LIMIT 1) AS w"  # one look-up each
    " WHERE h.let_go_at IS NULL"
)
UNFETCHED: Final = (
    f"SELECT d.seq FROM delivery d WHERE d.seq = ANY(%s) AND {_WAITS} ORDER BY d.seq"
)
TIMES: Final = "SELECT seq, held_at, let_go_at FROM held_delivery WHERE seq = ANY(%s)"


class PostgresStorms:
    """Shares the connections of the store that it belongs to."""

    def __init__(self, *, readers: Readers, writer: Writer) -> None:
        self._readers = readers
        self._writer = writer

    def keep(self, storm: KeptStorm) -> None:
        """Keep a held storm."""
        values = (storm.key, storm.signal, json.dumps(storm.agents), storm.since_at, storm.held_at)
        self._write(lambda c: c.execute(KEEP, values))

    def release(self, key: str, *, at: int) -> None:
        """Note that a storm is held no more."""

        def apply(connection: NativeConnection) -> None:
            connection.execute(RELEASE, (at, key))
            connection.execute(LET_GO_OF, (at, key))
            connection.execute(FORGET, (at - KEPT_MS,))
            connection.execute(FORGET_STORMS, (at - KEPT_MS,))

        self._write(apply)

    def note(self, held: Sequence[HeldDelivery], let_go: Sequence[Seq], *, at: int) -> None:
        """Note deliveries that are held, and others that are let go."""
        names = ("seq", "agent", "storm", "held_at")
        document = json.dumps([dict(zip(names, one, strict=True)) for one in held])

        def apply(connection: NativeConnection) -> None:
            if held:
                connection.execute(NOTE, (document,))
            if let_go:
                connection.execute(LET_GO, (at, list(let_go)))

        self._write(apply)

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
        values = (list(seqs),)
        return self._readers.run(lambda c: [Seq(seq) for (seq,) in c.execute(UNFETCHED, values)])

    def times(self, seqs: Sequence[Seq]) -> dict[Seq, HeldTimes]:
        """When the wakes of some deliveries were withheld."""
        values = (list(seqs),)
        return self._readers.run(
            lambda c: {seq: HeldTimes(*row) for seq, *row in c.execute(TIMES, values)}
        )

    def _write(self, apply: Callable[[NativeConnection], Any]) -> None:
        self._writer.do(Applied(apply, is_quick=True))
