"""Whether a PostgreSQL can hold the bus; if not, what its owner has to change.

The fleet's own PostgreSQL always can. This is for one that somebody else runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from agent_bus.core import errors
from agent_bus.store.postgres.link import connections, migrate

if TYPE_CHECKING:
    from agent_bus.store.postgres.link.address import Address
    from agent_bus.store.postgres.link.connections import NativeConnection

OLDEST_SERVER: Final = 150_000
ENCODING: Final = "UTF8"
MAY_CREATE: Final = "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
"""Since PostgreSQL 15, schema public lets only the database's owner create tables."""


def require(connection: NativeConnection) -> None:
    """Refuse a database that cannot hold the bus; changes nothing.

    Raises:
        errors.StartupError: with what to change.
    """
    info = connection.info
    if info.server_version < OLDEST_SERVER:
        raise errors.StartupError(
            f"PostgreSQL {info.server_version // 10_000} on {info.host} is too old: "
            f"{OLDEST_SERVER // 10_000} or newer is needed."
        )
    encoding = info.parameter_status("server_encoding")
    if encoding != ENCODING:
        raise errors.StartupError(
            f"Database {info.dbname} has the encoding {encoding}, which cannot hold every text. "
            f"Make one with {ENCODING}: CREATE DATABASE {_quoted(info.dbname)} "
            f"OWNER {_quoted(info.user)} TEMPLATE template0 ENCODING '{ENCODING}' LOCALE 'C';"
        )
    if migrate.is_behind(connection) and not connections.one(connection, MAY_CREATE):
        raise errors.StartupError(
            f"Role {info.user} may not create tables in database {info.dbname}. "
            "Make it the owner: "
            f"ALTER DATABASE {_quoted(info.dbname)} OWNER TO {_quoted(info.user)};"
        )


def _quoted(name: str) -> str:
    """The name as SQL takes it, whatever is in it."""
    return sql.Identifier(name).as_string()


def check(address: Address) -> str:
    """Connect as a hub would, and return what the server is; changes nothing.

    Raises:
        errors.StartupError: it cannot be reached, or cannot hold the bus.
    """
    try:
        with connections.to_primary(address).connection as connection:
            require(connection)
            server = connection.info.server_version // 10_000
            return f"{address.shown}: PostgreSQL {server}, which can hold the bus"
    except psycopg.Error as error:
        raise errors.StartupError(f"{address.shown} cannot be used: {error}") from error
