"""Backups of a database file: write one from a live database, verify one, put one back.

These functions block and belong into a native thread of their own (or into the admin tool). They
open connections of their own; `restore` needs the instance lock.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import apsw

from agent_bus import errors
from agent_bus.instance import give_to_owner_of_folder
from agent_bus.store.migrate import migrations

if TYPE_CHECKING:
    from pathlib import Path

NEW_EPOCH: Final = "UPDATE meta SET value = ? WHERE key = 'epoch'"
META: Final = "SELECT value FROM meta WHERE key = ?"
COPY: Final = "VACUUM INTO ?"
SUFFIXES: Final = ("", "-wal", "-shm")
"""The files of one database in WAL mode."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A verified backup file."""

    path: Path
    size_bytes: int
    sha256: str
    epoch: str
    schema_version: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did; `aside` is the database that was there before, if there was one."""

    epoch: str
    aside: Path | None


class DamagedError(Exception):
    """The file is no sound database of the bus; the text says why."""


def write(database: Path, target: Path) -> Backup:
    """Copy a live database to `target`, verified and synced before it gets that name.

    The copy is one transaction's view; senders and readers go on meanwhile.

    Raises:
        errors.DiskFullError: no room; nothing is left behind.
        errors.BackupFailedError: anything else; nothing is left behind.
    """
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        source = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            source.execute(COPY, (str(part),))
        finally:
            source.close()
        part.chmod(0o600)
        found = verify(part)
        _sync(part)
        part.rename(target)
        _sync(target.parent)
    except apsw.FullError as error:
        raise errors.DiskFullError from error
    except (apsw.Error, OSError, DamagedError) as error:
        raise errors.BackupFailedError(str(error)) from error
    finally:
        part.unlink(missing_ok=True)
    return Backup(target, found.size_bytes, found.sha256, found.epoch, found.schema_version)


def verify(path: Path) -> Backup:
    """Read the whole file and check every page and index.

    Raises:
        DamagedError: it cannot be read, is damaged, or is too new for this release.
    """
    if not path.is_file():
        raise DamagedError(f"{path}: there is no such file")
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            _check(connection, path)
            epoch = _value(connection, META, ("epoch",))
            needed = int(_value(connection, META, ("min_reader_version",)))
            version = int(_value(connection, "PRAGMA user_version"))
        finally:
            connection.close()
    except apsw.Error as error:
        raise DamagedError(f"{path}: {error}") from error
    newest = migrations()[-1][0]
    if needed > newest:
        raise DamagedError(f"{path}: needs a release that knows schema {needed}, not {newest}")
    return Backup(path, path.stat().st_size, _sha256(path), epoch, version)


def restore(backup: Path, database: Path, *, stamp: str) -> Restored:
    """Put a verified backup in the place of the database, under a new epoch.

    Clients find the new epoch and are told `reset`. The old files stay beside, named
    `<database>.before-<stamp>`. The caller holds the instance lock.

    Raises:
        DamagedError: the backup is not sound; nothing was changed.
        OSError: no room or no right; the old database is still in place.
    """
    verify(backup)
    fresh = database.with_name(f"{database.name}.restoring")
    for suffix in SUFFIXES:
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(backup, fresh)
    fresh.chmod(0o600)
    epoch = secrets.token_hex(4)
    connection = apsw.Connection(str(fresh), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")  # one file, whole when closed
        connection.execute(NEW_EPOCH, (epoch,))
    finally:
        connection.close()
    give_to_owner_of_folder(fresh)
    _sync(fresh)
    aside = database.with_name(f"{database.name}.before-{stamp}") if database.exists() else None
    for suffix in SUFFIXES:
        old = database.with_name(database.name + suffix)
        if old.exists():
            old.rename(database.with_name(f"{database.name}.before-{stamp}{suffix}"))
    fresh.rename(database)
    _sync(database.parent)
    return Restored(epoch, aside)


def _check(connection: apsw.Connection, path: Path) -> None:
    verdict = _value(connection, "PRAGMA integrity_check(1)")
    if verdict != "ok":
        raise DamagedError(f"{path}: {verdict}")


def _value(connection: apsw.Connection, sql: str, bindings: tuple[str, ...] = ()) -> str:
    row = connection.execute(sql, bindings).fetchone()
    if row is None:
        raise DamagedError(f"{connection.filename}: is no database of the bus")
    return str(row[0])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Sync a file, or a folder after a rename in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
