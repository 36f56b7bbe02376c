"""Brings a database file to this release's schema; numbered SQL files, one transaction each.

The file holds two numbers: `PRAGMA user_version`, its schema version, and `min_reader_version` in
`meta`, the oldest schema version whose code can still read it. Migrations only add, so a release
refuses a file only when the second number is above its own. So a roll-back keeps the database.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent_bus.core import errors

if TYPE_CHECKING:
    import apsw

logger = logging.getLogger(__name__)

FOLDER: Final = Path(__file__).parent / "migrations"
MIN_READER_VERSION: Final = 1
"""Schema version of the oldest release that can read what this release writes."""


def migrations(folder: Path = FOLDER) -> list[tuple[int, Path]]:
    """(number, file) of each migration, ascending."""
    return sorted((int(path.name.split("_")[0]), path) for path in folder.glob("*.sql"))


def migrate(connection: apsw.Connection, folder: Path = FOLDER) -> int:
    """Apply the missing migrations; answers the file's schema version.

    Raises:
        errors.StartupError: the file was written by a release newer than this one can read.
    """
    known = migrations(folder)
    newest = known[-1][0]
    version = schema_version(connection)
    needed = _min_reader_version(connection) if version else 0
    if needed > newest:
        raise errors.StartupError(
            f"{connection.filename} needs a release that knows schema {needed}; this one knows "
            f"{newest}. Roll the newer release out again: `ansible-playbook site.yml`."
        )
    for number, path in known:
        if number > version:
            _apply(connection, number, path)
            logger.info("Migrated the database to schema %d", number)
    return max(version, newest)


def schema_version(connection: apsw.Connection) -> int:
    """The schema version in the file; 0 for an empty one."""
    return int(next(iter(connection.execute("PRAGMA user_version")))[0])


def _apply(connection: apsw.Connection, number: int, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(path.read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute(
            "INSERT INTO meta (key, value) VALUES ('epoch', ?) ON CONFLICT DO NOTHING",
            (secrets.token_hex(4),),
        )
        connection.execute(
            "INSERT INTO meta (key, value) VALUES ('min_reader_version', ?)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (str(MIN_READER_VERSION),),
        )
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _min_reader_version(connection: apsw.Connection) -> int:
    sql = "SELECT value FROM meta WHERE key = 'min_reader_version'"
    return int(next(iter(connection.execute(sql)))[0])
