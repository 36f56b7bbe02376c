"""The store that a hub runs on, chosen by its settings; what PostgreSQL needs is imported here."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent_bus.runtime import neighbours
from agent_bus.store.cluster import Writing
from agent_bus.store.sqlite.sqlite_store import SqliteStore

if TYPE_CHECKING:
    from agent_bus.core.clock import Clock
    from agent_bus.settings import Settings
    from agent_bus.store.contract import Backend


def build_backend(settings: Settings, clock: Clock, version: str) -> Backend:
    """The store that this hub runs on; what PostgreSQL needs is imported with it alone."""
    if not isinstance(settings.database, Path):
        from agent_bus.store.postgres.link.address import Address
        from agent_bus.store.postgres.postgres_store import PostgresStore

        return PostgresStore(
            Address(settings.database, settings.database_password_file),
            clock=clock,
            readers=settings.readers,
            commit_timeout_s=settings.commit_timeout_s,
            name=settings.hub_name,
            url=settings.hub_url,
            version=version,
            asks=[
                partial(ask_hub, hub.url, settings.tls_ca_file)
                for hub in settings.hubs
                if hub.name != settings.hub_name
            ],
            fatal=give_up,
        )
    return SqliteStore(
        settings.database,
        clock=clock,
        readers=settings.readers,
        fatal=give_up,
    )


def check_database(settings: Settings, password_file: Path | None) -> str:
    """Ask the database whether it can hold the bus, and return what it is; changes nothing.

    Args:
        settings: which database.
        password_file: in place of the setting's, which only the service can read.

    Raises:
        errors.StartupError: it cannot; the text says what to change.
    """
    if isinstance(settings.database, Path):
        return f"{settings.database}: SQLite, which is made when the hub starts"
    from agent_bus.store.postgres.link import fitness
    from agent_bus.store.postgres.link.address import Address

    file = password_file or settings.database_password_file
    return fitness.check(Address(settings.database, file))


def ask_hub(url: str, ca_file: Path | None) -> Writing | None:
    """How another hub writes; None when it does not say.

    Raises:
        OSError: it does not answer.
    """
    found = neighbours.livez(url, ca_file)
    last_s_ago, for_s = found.get("written_s_ago"), found.get("writing_for_s")
    return None if last_s_ago is None or for_s is None else Writing(last_s_ago, for_s)


def give_up() -> None:
    """End the process; systemd and gunicorn start a new worker."""
    os._exit(70)  # EX_SOFTWARE
