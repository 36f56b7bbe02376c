"""The PostgreSQL of the tests: databases of their own, and a server that goes on after a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.support import guard, postgres

if TYPE_CHECKING:
    from pathlib import Path


def asked(url: str, sql: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def test_each_folder_has_a_database_with_a_history_of_its_own(tmp_path: Path) -> None:
    one, other = (postgres.database(tmp_path / name) for name in ("one", "other"))
    epoch = "SELECT value FROM meta WHERE key = 'epoch'"
    assert asked(one, epoch) != asked(other, epoch)
    assert postgres.database(tmp_path / "one") == one


def test_old_databases_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "KEPT_COUNT", 2)
    urls = [postgres.database(tmp_path / str(n), template="template0") for n in range(4)]
    assert asked(urls[-1], "SELECT 1") == 1
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(urls[0])


def test_a_killed_server_starts_again_with_what_it_had() -> None:
    mark = guard.mark()
    server = postgres.Server(postgres.TEMPORARY / f"agent-bus-postgres-{mark}-own", fsync=True)
    server.start()
    with server.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    server.kill()
    server.start()
    assert asked(server.url("postgres"), "SELECT n FROM kept") == 7
