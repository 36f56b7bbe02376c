"""Opens the database file: its connections and the pragmas that are the durability contract.

Each pragma stands with its reason. Runs once, at start, before the loop serves anybody.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

import apsw

from agent_bus.core import errors
from agent_bus.store.sqlite.file.migrate import migrate

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

EPOCH: Final = "SELECT value FROM meta WHERE key = 'epoch'"
PRAGMAS_ON_EMPTY: Final = (
    # Freed pages can be given back to the file system; cannot be turned on later without a copy.
    "PRAGMA auto_vacuum = INCREMENTAL",
)
PRAGMAS_WRITER: Final = (
    # Readers never wait for the writer, and a commit is one sequential append.
    "PRAGMA journal_mode = WAL",
    # One fsync per commit: what was answered survives a power cut (not so with NORMAL).
    "PRAGMA synchronous = FULL",
    # The writer thread checkpoints when nothing waits; SQLite's own would do it within a commit.
    "PRAGMA wal_autocheckpoint = 0",
    # A checkpoint cuts the WAL file back to this; otherwise one burst would set its size for good.
    "PRAGMA journal_size_limit = 67108864",
    # Savepoints and sorts spill here: a full /tmp must not fail a send.
    "PRAGMA temp_store = MEMORY",
    # Only this process has the file; a short wait covers a reader that is being opened.
    "PRAGMA busy_timeout = 5000",
)
CHECKED_AT_START_BYTES: Final = 128 * 1024 * 1024
"""A larger file is not read through at start: a killed hub must be back within a second. The
reference fleet's file stays far below; each backup checks every page, whatever the size."""
PRAGMAS_READER: Final = (
    # Belt and braces beside the read-only open flag.
    "PRAGMA query_only = ON",
    # As for the writer.
    "PRAGMA temp_store = MEMORY",
    "PRAGMA busy_timeout = 5000",
)

ONE_THREAD: Final = apsw.SQLITE_OPEN_NOMUTEX
"""Each connection is used by one thread at a time, so SQLite need not lock it for each call."""
STATEMENTS_KEPT: Final = 512
"""Prepared statements: those for many rows have a text for each number of rows up to 64."""
INDEX_BYTES: Final = 1 << 20
"""Room kept for the WAL's index (`-shm`): enough for a WAL of 500 MB. SQLite lets it grow within a
commit; without room that commit fails in a way that leaves its fate unknown."""


def writer(path: Path) -> apsw.Connection:
    """The one writing connection, to a checked file with this release's schema.

    Raises:
        errors.StartupError: the file is damaged, no database, too new, or cannot be opened.
    """
    created = not path.exists() or path.stat().st_size == 0
    try:
        connection = apsw.Connection(
            str(path),
            flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | ONE_THREAD,
            statementcachesize=STATEMENTS_KEPT,
        )
        for pragma in (*(PRAGMAS_ON_EMPTY if created else ()), *PRAGMAS_WRITER):
            connection.execute(pragma)
        path.chmod(0o600)
        migrate(connection)
        _check(connection, path)
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise errors.StartupError(
            f"{path} is damaged ({error}). Stop agent-bus.service and put the newest backup back: "
            "`ansible-playbook playbooks/restore.yml`. The damaged file stays where it is."
        ) from error
    except apsw.Error as error:
        raise errors.StartupError(f"{path} cannot be opened: {error}") from error
    return connection


def reserve_index(path: Path) -> int:
    """Give the WAL's index its room now, if there is any; answers the open file.

    The file stays open as long as the connections: closing any descriptor of a file drops every
    POSIX lock that the process has on it, SQLite's included (sqlite.org/howtocorrupt.html, 2.2).
    """
    index = os.open(path.with_name(path.name + "-shm"), os.O_RDWR | os.O_CLOEXEC)
    try:
        os.posix_fallocate(index, 0, INDEX_BYTES)
    except OSError as error:
        logger.warning("No room is kept for the index of the WAL: %s", error)
    return index


def epoch(connection: apsw.Connection) -> str:
    """The database's epoch: a new one after every restore."""
    return str(_one(connection, EPOCH))


def _check(connection: apsw.Connection, path: Path) -> None:
    found = facts(connection)
    wanted = {"journal_mode": "wal", "synchronous": "full", "auto_vacuum": "incremental"}
    for name, value in wanted.items():
        if found[name] != value:
            raise errors.StartupError(
                f"{path}: {name} is {found[name]!r} and must be {value!r}; is the file on a "
                "network file system?"
            )
    if path.stat().st_size > CHECKED_AT_START_BYTES:
        logger.info("The database is large: its pages are checked by each backup, not at start")
        return
    verdict = _one(connection, "PRAGMA quick_check(1)")
    if verdict != "ok":
        raise apsw.CorruptError(str(verdict))


def facts(connection: apsw.Connection) -> dict[str, object]:
    """What the database runs with."""
    synchronous = {0: "off", 1: "normal", 2: "full", 3: "extra"}
    auto_vacuum = {0: "none", 1: "full", 2: "incremental"}
    return {
        "journal_mode": _one(connection, "PRAGMA journal_mode"),
        "synchronous": synchronous[_one(connection, "PRAGMA synchronous")],
        "auto_vacuum": auto_vacuum[_one(connection, "PRAGMA auto_vacuum")],
        "schema_version": _one(connection, "PRAGMA user_version"),
        "sqlite_version": apsw.sqlite_lib_version(),
    }


def reader(path: Path) -> apsw.Connection:
    """A connection that cannot write; open it after the writing one."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY | ONE_THREAD)
    for pragma in PRAGMAS_READER:
        connection.execute(pragma)
    return connection


def _one(connection: apsw.Connection, sql: str) -> Any:  # noqa: ANN401 - a pragma's value
    return connection.execute(sql).fetchone()[0]  # type: ignore[index] # these always have a row
