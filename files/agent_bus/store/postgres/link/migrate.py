"""Brings a database to this release's schema; numbered SQL files, all in one transaction.

`meta` holds two numbers: `schema_version`, and `min_reader_version`, the oldest schema version
whose code can still read the database. Migrations only add, so a release refuses a database only
when the second number is above its own. Several hubs may start at once: an advisory lock lets one
after the other look.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import errors

if TYPE_CHECKING:
    from psycopg import Connection

logger = logging.getLogger(__name__)

FOLDER: Final = Path(__file__).parent / "migrations"
MIN_READER_VERSION: Final = 1
"""Schema version of the oldest release that can read what this release writes."""
LOCK_KEY: Final = 0x6167_656E_7462_7573
"""Of the advisory lock: `agentbus`, in ASCII."""

LOCK: Final = "SELECT pg_advisory_xact_lock(%s)"
HAS_META: Final = "SELECT to_regclass('meta') IS NOT NULL"
NUMBER: Final = "SELECT value FROM meta WHERE key = %s"
KEEP: Final = (
    "INSERT INTO meta (key, value) VALUES (%s, %s)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
KEEP_EPOCH: Final = "INSERT INTO meta (key, value) VALUES ('epoch', %s) ON CONFLICT DO NOTHING"


def migrations(folder: Path = FOLDER) -> list[tuple[int, Path]]:
    """(number, file) of each migration, ascending."""
    return sorted((int(path.name.split("_")[0]), path) for path in folder.glob("*.sql"))


def migrate(connection: Connection[Any], folder: Path = FOLDER) -> int:
    """Apply the missing migrations; answers the database's schema version.

    Raises:
        errors.StartupError: the database was written by a release newer than this one can read.
    """
    known = migrations(folder)
    newest = known[-1][0]
    with connection.transaction():
        connection.execute(LOCK, (LOCK_KEY,))
        version = schema_version(connection)
        needed = _number(connection, "min_reader_version") if version else 0
        if needed > newest:
            raise errors.StartupError(
                f"The database {connection.info.dbname} needs a release that knows schema "
                f"{needed}; this one knows {newest}. Roll the newer release out again: "
                "`ansible-playbook site.yml`."
            )
        missing = [(number, path) for number, path in known if number > version]
        for number, path in missing:
            connection.execute(path.read_bytes())
            connection.execute(KEEP, ("schema_version", str(number)))
        if missing:
            connection.execute(KEEP_EPOCH, (secrets.token_hex(4),))
            connection.execute(KEEP, ("min_reader_version", str(MIN_READER_VERSION)))
    for number, _ in missing:
        logger.info("Migrated the database to schema %d", number)
    return max(version, newest)


def is_behind(connection: Connection[Any]) -> bool:
    """Whether there are migrations to apply, for which tables have to be made."""
    return schema_version(connection) < migrations()[-1][0]


def schema_version(connection: Connection[Any]) -> int:
    """The schema version of the database; 0 for an empty one."""
    row = connection.execute(HAS_META).fetchone()
    return _number(connection, "schema_version") if row is not None and row[0] else 0


def _number(connection: Connection[Any], key: str) -> int:
    row = connection.execute(NUMBER, (key,)).fetchone()
    return 0 if row is None else int(row[0])
