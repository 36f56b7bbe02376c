"""Rings other hubs after a commit, and hears when they ring.

A ring carries the position of a batch that is acknowledged, so all before it are replicated, too.
It is a transaction of its own, which waits for no standby: a NOTIFY in the batch itself would keep
every hub's rings waiting until the batch is replicated. A ring that is missed does no harm.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

import psycopg

from agent_bus.core import errors
from agent_bus.runtime import greenlets
from agent_bus.runtime.batch_thread import BatchThread
from agent_bus.runtime.greenlets import Readable
from agent_bus.store.postgres.link import connections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.store.postgres.link.address import Address
    from agent_bus.store.postgres.link.connections import NativeConnection

logger = logging.getLogger(__name__)

CHANNEL: Final = "agent_bus"
RING: Final = f"SELECT pg_notify('{CHANNEL}', %s)"
PATIENCE_S: Final = 3.0
AGAIN_S: Final = 1.0
"""Between two attempts to connect."""


class Ringer:
    """Rings, in a native thread with a connection of its own; never blocks its caller."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: NativeConnection | None = None
        self._thread: BatchThread[int] = BatchThread(self._ring, idle=lambda: None)

    def ring(self, pos: int) -> None:
        """Let the other hubs know that all up to here is acknowledged."""
        self._thread.submit(pos)

    def close(self) -> None:
        """Ring what waits, and end."""
        self._thread.stop()
        if self._connection is not None:
            self._connection.drop()

    def _ring(self, positions: Sequence[int]) -> Callable[[], None]:
        """One ring for all that has gathered; what fails is left to the other hubs' polls."""
        try:
            if self._connection is None:
                found = connections.to_primary(self._address, patience_s=PATIENCE_S)
                self._connection = found.connection
            self._connection.execute(RING, (str(max(positions)),))
        except psycopg.Error as error:
            logger.info("Other hubs could not be rung: %s", str(error).strip())
            if self._connection is not None:
                self._connection.drop()
                self._connection = None
        return _nothing


class Listening:
    """Hears rings, in a greenlet that waits for its connection's socket.

    Args:
        rung: called in the loop with each position.
    """

    def __init__(self, address: Address, *, rung: Callable[[int], None]) -> None:
        self._address = address
        self._rung = rung
        self._is_over = False
        self._connection: NativeConnection | None = None
        self._stop: Callable[[], object] = _nothing

    def start(self) -> None:
        """Begin; returns at once."""
        self._stop = partial(greenlets.spawn(self._run).kill, block=False)

    def close(self) -> None:
        """Hear nothing any more."""
        self._is_over = True
        self._stop()  # the greenlet waits for a socket, or in a thread

    def _run(self) -> None:
        while not self._is_over:
            try:
                greenlets.offload(self._connect)
                if self._connection is None:
                    greenlets.sleep(AGAIN_S)
                else:
                    self._hear(self._connection)
            except psycopg.Error as error:
                logger.info("Other hubs are heard no more: %s", str(error).strip())
            except Exception:
                logger.exception("What a ring is about could not be published")
            finally:
                self._let_go()

    def _connect(self) -> None:
        """Open a connection that listens, in a native thread; none without a primary.

        Whoever waits for it may be gone when it is open: then it is closed here.
        """
        try:
            self._connection = connections.to_primary(
                self._address, patience_s=PATIENCE_S
            ).connection
            self._connection.execute(f"LISTEN {CHANNEL}")
        except (psycopg.Error, errors.StartupError) as error:
            logger.info("Other hubs cannot be heard: %s", str(error).strip())
            self._let_go()
        if self._is_over:
            self._let_go()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()

    def _hear(self, connection: NativeConnection) -> None:
        readable = Readable(connection.pgconn.socket)
        try:
            while not self._is_over:
                readable.wait()
                connection.pgconn.consume_input()
                while (ring := connection.pgconn.notifies()) is not None:
                    self._rung(int(ring.extra))
        finally:
            readable.close()


def _nothing() -> None:
    """Nothing follows in the loop."""
