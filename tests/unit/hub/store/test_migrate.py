from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest

from agent_bus.core import errors
from agent_bus.store.sqlite.file.migrate import FOLDER, migrate, migrations, schema_version

if TYPE_CHECKING:
    from pathlib import Path

NEWEST = migrations()[-1][0]


def connection(folder: Path) -> apsw.Connection:
    return apsw.Connection(str(folder / "bus.db"))


def copied(folder: Path, **more: str) -> Path:
    """The real migrations and further ones: name (n0002_x) -> SQL."""
    place = folder / "migrations"
    place.mkdir()
    for _, path in migrations():
        (place / path.name).write_text(path.read_text())
    for name, sql in more.items():
        (place / f"{name.lstrip('n')}.sql").write_text(sql)
    return place


def test_migrations_are_numbered_without_gap() -> None:
    assert [number for number, _ in migrations()] == list(range(1, NEWEST + 1))
    assert all(path.parent == FOLDER for _, path in migrations())


def test_an_empty_file_gets_the_newest_schema_once(tmp_path: Path) -> None:
    one = connection(tmp_path)
    assert migrate(one) == NEWEST
    epoch = list(one.execute("SELECT value FROM meta WHERE key = 'epoch'"))
    assert migrate(one) == NEWEST
    assert list(one.execute("SELECT value FROM meta WHERE key = 'epoch'")) == epoch


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_a_file_of_every_earlier_schema_is_brought_up(tmp_path: Path, version: int) -> None:
    older = tmp_path / "older"
    older.mkdir()
    for number, path in migrations():
        if number <= version:
            (older / path.name).write_text(path.read_text())
    one = connection(tmp_path)
    assert migrate(one, older) == version
    assert migrate(one) == NEWEST
    assert schema_version(one) == NEWEST


def test_keys_outlive_the_change_of_their_order(tmp_path: Path) -> None:
    older = tmp_path / "older"
    older.mkdir()
    for number, path in migrations():
        if number < 7:
            (older / path.name).write_text(path.read_text())
    one = connection(tmp_path)
    migrate(one, older)
    keys = [
        ("ada", "k2", b"1", "m1", 5),
        ("bob", "k1", b"2", "m2", 6),
        ("bob", "k2", b"3", "m3", 7),
    ]
    one.executemany("INSERT INTO idempotency VALUES (?, ?, ?, ?, ?)", keys)
    migrate(one)
    kept = "SELECT sender, key, payload_sha256, message_id, created_at FROM idempotency"
    assert sorted(one.execute(kept)) == keys
    one.execute("INSERT OR REPLACE INTO idempotency VALUES ('bob', 'k2', x'34', 'm4', 8)")
    assert len(list(one.execute(kept))) == 3


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    one = connection(tmp_path)
    migrate(one)
    bad = copied(tmp_path, n9999_bad="CREATE TABLE half (x); CREATE TABLE half (x);")
    with pytest.raises(apsw.SQLError):
        migrate(one, bad)
    assert schema_version(one) == NEWEST
    assert not one.in_transaction
    assert list(one.execute("SELECT 1 FROM sqlite_schema WHERE name = 'half'")) == []


def test_a_compatible_newer_file_opens_and_an_incompatible_one_is_refused(tmp_path: Path) -> None:
    one = connection(tmp_path)
    migrate(one, copied(tmp_path, n9999_more="ALTER TABLE message ADD COLUMN later TEXT;"))
    assert migrate(one) == 9999
    one.execute("UPDATE meta SET value = '9999' WHERE key = 'min_reader_version'")
    with pytest.raises(errors.StartupError, match="schema 9999"):
        migrate(one)
