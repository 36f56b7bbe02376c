"""Reading connections, each used by one native thread at a time, and opened anew when lost."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg

from agent_bus.core import errors
from agent_bus.runtime.greenlets import ThreadedPool
from agent_bus.store.postgres.link import connections
from agent_bus.store.postgres.link.connections import Lead

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.store.postgres.link.address import Address
    from agent_bus.store.postgres.link.connections import NativeConnection

logger = logging.getLogger(__name__)

T = TypeVar("T")

AWAY_S: Final = 2.0
"""How long a connection to a standby is kept, which may be behind; then the primary is tried."""
PATIENCE_S: Final = 10.0
"""For one answer of the server: longer than any query may take, shorter than a caller waits."""


class Readers:
    """A pool of reading connections.

    They follow the writer from primary to primary. One of a deposed primary would go on to answer,
    without what was written since, and a stream that reads its backlog there would have a gap.

    Args:
        lead: where the writer has found the primary; called in any thread.
    """

    def __init__(self, address: Address, *, size: int, lead: Callable[[], Lead] = Lead) -> None:
        self._pool = ThreadedPool([_Reader(address, lead) for _ in range(size)])

    def run(self, work: Callable[[NativeConnection], T]) -> T:
        """Run `work(connection)` in a native thread and answer its result; blocks the greenlet.

        A connection that is lost is opened anew, once, and the work begun again.

        Raises:
            errors.NoPrimaryError: no server answers.
        """
        outcome = self._pool.run(lambda reader: reader.attempt(work))
        if isinstance(outcome, _Failed):
            raise outcome.error
        return outcome

    def close(self) -> None:
        """Wait for all work and close the connections."""
        self._pool.close(lambda reader: reader.close())


class _Failed:
    """An error as a value: gevent writes the stack of what is raised in a thread."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class _Reader:
    """One connection of the pool; opened when it is first needed."""

    def __init__(self, address: Address, lead: Callable[[], Lead]) -> None:
        self._address = address
        self._lead = lead
        self._followed = Lead()
        self._connection: NativeConnection | None = None
        self._looks_again = 0.0

    def attempt(self, work: Callable[[NativeConnection], T]) -> T | _Failed:
        """The result of the work, or its error."""
        try:
            return self._attempt(work)
        except Exception as error:  # noqa: BLE001 - whatever fails is the caller's answer
            return _Failed(error)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    def _attempt(self, work: Callable[[NativeConnection], T]) -> T:
        lead = self._lead()
        if lead != self._followed or time.monotonic() >= self._looks_again:
            self.close()
        if self._connection is not None:
            try:
                return work(self._connection)
            except psycopg.OperationalError as error:
                logger.info("A reading connection was lost: %s", str(error).strip())
                self.close()
        try:
            self._connection, is_primary = connections.to_reader(
                self._address, first=lead.host, timeline=lead.timeline, patience_s=PATIENCE_S
            )
            self._followed = lead
            self._looks_again = math.inf if is_primary else time.monotonic() + AWAY_S
            return work(self._connection)
        except psycopg.OperationalError as error:
            self.close()
            raise errors.NoPrimaryError from error
        except BaseException:
            if self._connection is not None and self._connection.closed:
                self._connection = None
            raise
