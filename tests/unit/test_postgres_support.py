"""The PostgreSQL of the tests: databases of their own, and a server that goes on after a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from tests.support import guard, postgres
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def asked(url: str, sql: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def is_used(url: str) -> bool:
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with postgres.shared().connect() as connection:
        found = connection.execute("SELECT FROM pg_stat_activity WHERE datname = %s", (name,))
        return bool(found.rowcount)


def test_each_folder_has_a_database_with_a_history_of_its_own(tmp_path: Path) -> None:
    one, other = (postgres.database(tmp_path / name) for name in ("one", "other"))
    epoch = "SELECT value FROM meta WHERE key = 'epoch'"
    assert asked(one, epoch) != asked(other, epoch)
    assert postgres.database(tmp_path / "one") == one


def test_the_oldest_database_that_nobody_uses_is_emptied_and_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "KEPT_COUNT", 2)
    monkeypatch.setattr(postgres, "_names", {})
    first, second = (postgres.database(tmp_path / name) for name in ("first", "second"))
    with psycopg.connect(second, autocommit=True) as connection:
        connection.execute("UPDATE head SET seq = 7")
        connection.execute("DELETE FROM agent")
        with psycopg.connect(first):
            third = postgres.database(tmp_path / "third")
    assert third not in {first, second}
    # a session ends a moment after its client has closed the connection
    wait_until(lambda: not (is_used(first) or is_used(second)), "nobody uses them any more")
    assert postgres.database(tmp_path / "fourth") == first
    assert postgres.database(tmp_path / "fifth") == second
    assert asked(second, "SELECT seq FROM head") == 0
    assert asked(second, "SELECT name FROM agent") == "operator"


def test_a_killed_server_starts_again_with_what_it_had() -> None:
    mark = guard.mark()
    server = postgres.Server(postgres.TEMPORARY / f"agent-bus-postgres-{mark}-own", fsync=True)
    server.start()
    with server.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    server.kill()
    server.start()
    assert asked(server.url("postgres"), "SELECT n FROM kept") == 7
