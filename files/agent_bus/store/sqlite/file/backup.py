"""Backups of a database file: write one from a live database, verify one, put one back.

These functions block: they run in a native thread of their own, or in the admin tool. They open
their own connections; `put_in_place` needs the instance lock.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import apsw

from agent_bus.core import errors
from agent_bus.core.model import Backup
from agent_bus.runtime.instance import give_to_owner_of_folder
from agent_bus.store.sqlite.file.migrate import migrations

if TYPE_CHECKING:
    from pathlib import Path

NEW_EPOCH: Final = "UPDATE meta SET value = ? WHERE key = 'epoch'"
META: Final = "SELECT value FROM meta WHERE key = ?"
COPY: Final = "VACUUM INTO ?"
SUFFIXES: Final = ("", "-wal", "-shm")
"""The files of one database in WAL mode."""
RESERVE_BYTES: Final = 64 << 20
"""What a backup leaves free, though never more than its own size: room for the write-ahead log of
what is sent during the backup, which has the same limit (`journal_size_limit`)."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did; `aside` is the database from before, if there was one."""

    epoch: str
    aside: Path | None


class DamagedError(Exception):
    """The file is not a sound database of the bus; the text says why."""


def write(database: Path, target: Path) -> Backup:
    """Copy a live database to `target`, verified and synced before it gets that name.

    The copy is what one transaction sees; senders and readers go on during it.

    Raises:
        errors.DiskFullError: no room; nothing is left behind.
        errors.BackupFailedError: anything else; nothing is left behind.
    """
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        _require_room(database, target.parent)
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


def prepare(backup: Path, database: Path, *, take: bool = False) -> str:
    """Make a verified copy of a backup ready beside the database; answers its new epoch.

    The bus may run during this: 2 GB take seconds to minutes. A second call starts over. With
    `take` the backup is renamed instead of copied, which needs no room; it must then be on the
    database's file system.

    Raises:
        DamagedError: the backup is not sound; nothing was changed.
        OSError: no room or no right; nothing was changed.
    """
    verify(backup)
    fresh = _fresh(database)
    for suffix in SUFFIXES:
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    if take:
        backup.rename(fresh)
    else:
        needed, free = backup.stat().st_size, shutil.disk_usage(fresh.parent).free
        if free < needed:
            raise OSError(f"{_no_room('The copy', needed, fresh.parent, free)} and try again")
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
    return epoch


def put_in_place(database: Path, *, stamp: str) -> Restored:
    """Make what `prepare` left the database, by renaming.

    Clients find the new epoch and are told `reset`. The old files stay beside it, named
    `<database>.before-<stamp>`. The caller holds the instance lock.

    Raises:
        DamagedError: nothing was prepared.
        OSError: no right; the old database is still in place.
    """
    fresh = prepared(database)
    connection = apsw.Connection(str(fresh), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        epoch = _value(connection, META, ("epoch",))
    finally:
        connection.close()
    aside = database.with_name(f"{database.name}.before-{stamp}") if database.exists() else None
    for suffix in SUFFIXES:
        old = database.with_name(database.name + suffix)
        if old.exists():
            old.rename(database.with_name(f"{database.name}.before-{stamp}{suffix}"))
    fresh.rename(database)
    _sync(database.parent)
    return Restored(epoch, aside)


def prepared(database: Path) -> Path:
    """What `prepare` left for a database.

    Raises:
        DamagedError: nothing.
    """
    fresh = _fresh(database)
    if not fresh.is_file():
        raise DamagedError(f"{fresh}: nothing was prepared")
    return fresh


def _fresh(database: Path) -> Path:
    return database.with_name(f"{database.name}.restoring")


def _require_room(database: Path, folder: Path) -> None:
    """Refuse a copy that would fill the disk, or leave senders no room.

    Raises:
        errors.DiskFullError: says how much is needed and how much there is.
    """
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        pages, free_pages, page_bytes = (
            int(_value(connection, f"PRAGMA {name}"))
            for name in ("page_count", "freelist_count", "page_size")
        )
    finally:
        connection.close()
    needed = (pages - free_pages) * page_bytes
    needed += min(needed, RESERVE_BYTES)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise errors.DiskFullError(_no_room("A backup", needed, folder, free))


def _no_room(what: str, needed: int, folder: Path, free: int) -> str:
    return (
        f"{what} needs {needed / 1e6:,.1f} MB, {folder} has {free / 1e6:,.1f} MB free. Make room"
        " there, such as by deleting old backups,"
    )


def _check(connection: apsw.Connection, path: Path) -> None:
    verdict = _value(connection, "PRAGMA integrity_check(1)")
    if verdict != "ok":
        raise DamagedError(f"{path}: {verdict}")


def _value(connection: apsw.Connection, sql: str, bindings: tuple[str, ...] = ()) -> str:
    row = connection.execute(sql, bindings).fetchone()
    if row is None:
        raise DamagedError(f"{connection.filename}: is not a database of the bus")
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
