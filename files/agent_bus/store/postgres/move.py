"""Moves what a hub has in its SQLite file into PostgreSQL, and compares both row by row.

The history goes on: seqs, cursors, tokens and the epoch stay. The file itself is only read, so the
hub can go on with it if anything fails here. These functions block, for minutes if there is much.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import apsw
import psycopg

from agent_bus.core import errors
from agent_bus.store.postgres import transfer
from agent_bus.store.postgres.link import connections
from agent_bus.store.postgres.link.migrate import schema_version
from agent_bus.store.sqlite.file import backup

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from agent_bus.core.model import Backup
    from agent_bus.store.postgres.link.address import Address

_FILE_SEQ: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'delivery'"
_ROWS_AT_ONCE: Final = 5000
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Compared:
    """What both have: the newest seq, and how many rows in each table."""

    seq: int
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Moved:
    """What is now in PostgreSQL, all of it compared; `kept` is the backup it was made from."""

    kept: Backup
    compared: Compared


def move(file: Path, target: Path, address: Address, *, replace: bool, now: int) -> Moved:
    """Back a stopped hub's file up to `target`, fill PostgreSQL with it, and compare the two.

    Args:
        file: the database of the stopped hub, whose instance lock the caller holds.
        target: where the backup goes.
        address: the PostgreSQL; none of its hubs runs.
        replace: whether it may have another history, which is then lost.
        now: the time in milliseconds.

    Raises:
        errors.DiskFullError, errors.BackupFailedError: there is no backup; nothing was changed.
        errors.StartupError: PostgreSQL cannot be filled, or it has what the file does not have.
    """
    kept = backup.write(file, target)
    if not replace:
        require_nothing_newer(kept.path, address)
    transfer.load(kept.path, address, epoch=kept.epoch, now=now)
    return Moved(kept, compare(kept.path, address))


def compare(file: Path, address: Address) -> Compared:
    """Compare a file with PostgreSQL, which no hub writes to.

    The rows of each table are counted and digested, and so are the newest seq and the epoch.

    Raises:
        errors.StartupError: names what differs.
    """
    source = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    target = None
    try:
        target, is_primary = connections.to_reader(address, patience_s=transfer.PATIENCE_S)
        if not is_primary:
            raise errors.StartupError(f"{address.shown} has no primary to compare with.")
        with target.transaction():
            found = {
                table: (_of_file(source, table, columns), _of_postgres(target, table, columns))
                for table, columns in transfer.TABLES.items()
            }
            whole = {
                "epoch": (
                    *source.execute(connections.EPOCH).fetchall()[0],
                    connections.one(target, connections.EPOCH),
                ),
                "seq": (_newest_seq(source), connections.one(target, transfer.HEAD)),
            }
    except (psycopg.Error, apsw.Error) as error:
        raise errors.StartupError(f"{address.shown} cannot be compared: {error}") from error
    finally:
        source.close()
        if target is not None:
            target.drop()
    differing = [name for name, (one, other) in {**found, **whole}.items() if one != other]
    if differing:
        raise errors.StartupError(
            f"{address.shown} does not have what {file} has: {', '.join(differing)} differ."
        )
    counts = {table: count for table, ((count, _), _) in found.items()}
    return Compared(int(whole["seq"][0]), counts)


def require_nothing_newer(file: Path, address: Address) -> int:
    """Refuse a database with messages of another history, or newer ones of this history.

    Answers the newest seq of the file.

    Raises:
        errors.StartupError: says what is there.
    """
    try:
        target = connections.to_primary(address, patience_s=transfer.PATIENCE_S).connection
    except psycopg.Error as error:
        raise errors.StartupError(f"{address.shown}: {str(error).strip()}") from error
    source = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        newest = _newest_seq(source)
        ((epoch,),) = source.execute(connections.EPOCH)
        if not schema_version(target):
            return newest
        found = connections.one(target, connections.EPOCH)
        seq = int(connections.one(target, transfer.HEAD))
    finally:
        target.drop()
        source.close()
    if seq and found != epoch:
        raise errors.StartupError(
            f"{address.shown} already has the messages of another bus (epoch {found}, this one's "
            f"is {epoch}). Give the bus a database of its own, or have what is there replaced."
        )
    if seq > newest:
        raise errors.StartupError(
            f"{address.shown} has newer messages than the file (seq {seq}, the file's newest is "
            f"{newest}): the bus has gone on there."
        )
    return newest


def _newest_seq(source: apsw.Connection) -> int:
    row = source.execute(_FILE_SEQ).fetchone()
    return int(row[0]) if row else 0


def _of_file(source: apsw.Connection, table: str, columns: str) -> tuple[int, int]:
    return _digest(source.execute(f"SELECT {columns} FROM {table}"))


def _of_postgres(
    target: connections.NativeConnection, table: str, columns: str
) -> tuple[int, int]:
    with target.cursor(name="compared") as rows:
        rows.itersize = _ROWS_AT_ONCE
        rows.execute(f"SELECT {columns} FROM {table}")
        return _digest(rows)


def _digest(rows: Iterable[tuple[Any, ...]]) -> tuple[int, int]:
    """How many rows there are, and the sum of their digests: their order does not matter."""
    count, total = 0, 0
    for row in rows:
        digest = hashlib.blake2b(repr(tuple(row)).encode(), digest_size=_DIGEST_BYTES).digest()
        count, total = count + 1, total + int.from_bytes(digest)
    return count, total % (1 << 8 * _DIGEST_BYTES)
