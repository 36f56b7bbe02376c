"""The writer's way to the primary: opened, lost, found again, whoever is primary by then."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import psycopg

from agent_bus.store.postgres.link import connections
from agent_bus.store.postgres.link.connections import Lead

if TYPE_CHECKING:
    from agent_bus.store.postgres.link.address import Address
    from agent_bus.store.postgres.link.connections import NativeConnection

logger = logging.getLogger(__name__)

SEQS_SKIPPED: Final = 1_000_000
"""Left out at each takeover: a seq that only the old primary gave never comes again."""
TERM: Final = "SELECT term, pos FROM head"
TAKE_OVER: Final = (
    "UPDATE head SET seq = CASE WHEN term = 0 THEN seq ELSE seq + %s END, term = %s"
    " WHERE term < %s RETURNING term"
)
LOST_CLASSES: Final = ("08", "57P", "25006", "55P03")
"""Beginnings of SQLSTATE: the connection, the server's end, a primary that is one no more, a lock
that another session keeps for too long."""


class PrimaryLink:
    """For one native thread.

    Args:
        patience_s: how long the server may take for one answer, a commit above all. Past it the
            socket is closed: a cancelled commit would report success without being replicated.

    Attributes:
        term: the timeline of the primary, as noted in the database.
        pos: the number of the newest batch, when the link was opened.
        lead: where the primary was found.
        trouble: why the newest attempt to write failed; None: it succeeded.
    """

    def __init__(self, address: Address, *, patience_s: float) -> None:
        self._address = address
        self._patience_s = patience_s
        self._connection: NativeConnection | None = None
        self._host = 0
        self.term = 0
        self.pos = 0
        self.trouble: str | None = None
        self.lead = Lead()

    def connection(self, within_s: float) -> NativeConnection:
        """The connection to the primary, opened anew if it was lost.

        It waits `within_s` for an answer, and no longer than the link's own patience.

        Raises:
            psycopg.OperationalError: no host takes writes.
        """
        if self._connection is None:
            try:
                self._open()
            except psycopg.Error as error:
                self._host += 1
                raise psycopg.OperationalError(str(error).strip()) from error
        assert self._connection is not None
        self._connection.patience_s = min(within_s, self._patience_s)
        return self._connection

    def prove(self) -> None:
        """Note that a commit was acknowledged, which a mere connection does not say."""
        if self.trouble is not None:
            logger.warning("Writing goes on, on host %d of the database", self._host + 1)
            self.trouble = None

    def lose(self, error: Exception) -> None:
        """Give the connection up; the next one is looked for from the next host on."""
        words = str(error).strip()
        if self._connection is not None and words == connections.NO_ANSWER:
            words = f"no answer within {self._connection.patience_s:g} s"
        if self.trouble is None:
            logger.warning("Nothing can be written: %s", words)
        self.trouble = words.splitlines()[0] if words else type(error).__name__
        if self._connection is not None:
            self._connection.drop()
            self._connection = None
            self._host += 1

    def is_lost(self, error: psycopg.Error) -> bool:
        """Whether an error means that the connection is of no more use."""
        connection = self._connection
        if connection is None or connection.broken or connection.closed:
            return True
        if _is_waiting(connection):
            return True
        if error.sqlstate is None:
            return isinstance(error, psycopg.OperationalError)
        return error.sqlstate.startswith(LOST_CLASSES)

    def roll_back(self) -> None:
        """End a transaction that failed in this process."""
        if self._connection is not None:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> None:
        found = connections.to_primary(
            self._address, first=self._host, timeline=self.term, patience_s=self._patience_s
        )
        self._host = found.host
        connection = found.connection
        try:
            self.term, self.pos = self._take_over(connection, found.timeline)
        except BaseException:
            connection.drop()
            raise
        self._connection = connection
        self.lead = Lead(self.lead.number + 1, found.host, found.timeline)

    @staticmethod
    def _take_over(connection: NativeConnection, timeline: int) -> tuple[int, int]:
        """(term, pos) of the database, with its term brought to this timeline."""
        row = connection.execute(TERM).fetchone()
        term, pos = row or (0, 0)
        if term > timeline:
            raise psycopg.OperationalError("the host was primary before another one")
        if term < timeline:
            connection.execute(TAKE_OVER, (SEQS_SKIPPED, timeline, timeline))
            if term:
                logger.warning("A new primary of timeline %d was noted", timeline)
        return timeline, int(pos)


def _is_waiting(connection: NativeConnection) -> bool:
    """Whether an answer is still to come, which makes a connection useless for anything else."""
    return connection.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE
