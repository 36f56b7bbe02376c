"""What a hub's writer asks of other hubs' batches, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_bus.core.clock import SystemClock
from agent_bus.store.postgres.cluster.earlier import EXPECTED, Earlier
from agent_bus.store.postgres.link import connections
from agent_bus.store.postgres.link.address import Address
from agent_bus.store.postgres.postgres_store import PostgresStore
from agent_bus.store.postgres.write.facts import SENT
from tests.support import postgres
from tests.support.store import BETA, GAMMA, Told, draft, enrolled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.store.postgres.link.connections import NativeConnection


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[NativeConnection]:
    """To a database with two messages, of which one is for beta, in the last two batches."""
    url = postgres.database(tmp_path)
    store = PostgresStore(Address(url), clock=SystemClock(), readers=1)
    store.listen(Told())
    enrolled(store)
    for to in ("beta", "gamma"):
        store.send(draft(to=to), depth_limit=50)
    store.close()
    with connections.to_primary(Address(url)).connection as one:
        yield one


def test_others_are_asked_about_with_a_batch_only_while_they_do_something(
    connection: NativeConnection,
) -> None:
    earlier = Earlier(wants=lambda _: False)
    assert earlier.ask(connection, 0) is None
    earlier.before(connection, None, after=0, until=1)
    asked = [earlier.ask(connection, 0) for _ in range(EXPECTED + 1)]
    assert [one is None for one in asked] == [False] * EXPECTED + [True]


@pytest.mark.parametrize("is_asked", [False, True])
def test_what_is_wanted_is_read_with_the_changes(
    connection: NativeConnection, *, is_asked: bool
) -> None:
    earlier = Earlier(wants=lambda agents: BETA in agents)
    (newest,) = connection.execute("SELECT max(pos) FROM change").fetchone() or (0,)
    after = newest - 2
    earlier.before(connection, None, after=after, until=newest)
    asked = earlier.ask(connection, after) if is_asked else None
    found = earlier.before(connection, asked, after=after, until=newest)
    sent = [fact for change in found for fact in change.facts if fact[0] == SENT]
    assert [fact[2] for fact in sent] == [[BETA], [GAMMA]]
    assert [len(change.bodies) for change in found] == [1, 0]
