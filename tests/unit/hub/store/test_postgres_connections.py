"""Connections for native threads, to a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import waiting

from agent_bus.store.postgres.link import connections
from agent_bus.store.postgres.link.address import Address
from tests.support import postgres
from tests.support.database_way import way_to

if TYPE_CHECKING:
    from pathlib import Path


def test_a_server_that_says_nothing_is_waited_for_once_also_within_a_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeouts: list[str] = []
    wait = waiting.wait_c

    def counting(*arguments: Any, **more: Any) -> Any:
        try:
            return wait(*arguments, **more)
        except psycopg.OperationalError as error:
            timeouts.append(str(error))
            raise

    with way_to(postgres.database(tmp_path)) as way:
        connection = connections.to_primary(Address(way.url), patience_s=0.2).connection
        monkeypatch.setattr(waiting, "wait_c", counting)
        way.cut()
        with pytest.raises(psycopg.OperationalError), connection.pipeline():
            connection.execute("SELECT 1").fetchone()
        assert timeouts == [connections.NO_ANSWER]
        assert connection.closed
