"""The PostgreSQL store: owns the connections, and joins writer, readers and sweeps.

Threads: one native thread writes, a few read; the greenlets that call this class wait, the loop
never does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.store.postgres.link import connections, migrate
from agent_bus.store.postgres.link.pool import Readers

if TYPE_CHECKING:
    from agent_bus.core.clock import Clock
    from agent_bus.store.postgres.link.address import Address


class PostgresStore:
    """The beginning of an `agent_bus.store.contract.Backend`."""

    def __init__(self, address: Address, *, clock: Clock, readers: int) -> None:
        self._clock = clock
        primary = connections.to_primary(address)
        connections.require_supported(primary.connection)
        migrate.migrate(primary.connection)
        self.epoch = str(connections.one(primary.connection, connections.EPOCH))
        self._readers = Readers(address, size=readers)
