"""The verbs of `agent-bus-admin` that work on the database itself, not through a running hub.

`restore`, `import-sqlite` and `verify-db` take the instance lock, so they run only while the
service is stopped; `prepare-restore` works beside the database, whether it runs or not.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import errors
from agent_bus.runtime import instance
from agent_bus.store.sqlite.file import backup

if TYPE_CHECKING:
    import argparse

    from agent_bus.settings import Settings
    from agent_bus.store.postgres.link.address import Address

EXIT_FAILED: Final = 1
EXIT_UNAVAILABLE: Final = 69
EXIT_TRY_LATER: Final = 75
EXIT_DENIED: Final = 77
EXIT_SETTINGS: Final = 78
VERBS: Final = frozenset({"prepare-restore", "restore", "import-sqlite", "verify-db"})
PASSWORD_FILE: Final = Path("/etc/agent-bus/secrets/database.password")
"""Of PostgreSQL: what the service is given while it runs, as root finds it at any time."""


class AdminError(Exception):
    """An expected failure: its text says what to do."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def run(arguments: argparse.Namespace, chosen: Settings) -> dict[str, Any]:
    """Run one of these verbs; answers what it tells.

    Raises:
        AdminError: it failed.
        errors.StartupError: PostgreSQL is not what it should be.
    """
    if arguments.verb == "prepare-restore":
        return _prepare(arguments, chosen)
    return _offline(arguments, chosen)


def _file(chosen: Settings) -> Path:
    """The database file; with PostgreSQL where one is made ready for it."""
    return chosen.sqlite_file or chosen.folder / "bus.db"


def _prepare(arguments: argparse.Namespace, chosen: Settings) -> dict[str, Any]:
    try:
        epoch = backup.prepare(arguments.file, _file(chosen), take=arguments.take)
    except (backup.DamagedError, OSError) as error:
        raise AdminError(f"{error}. Nothing was changed.", EXIT_FAILED) from error
    return {"epoch": epoch}


def _offline(arguments: argparse.Namespace, chosen: Settings) -> dict[str, Any]:
    try:
        instance.lock(chosen.folder)
    except errors.StartupError as error:
        raise AdminError(
            f"{error} Stop it first: `systemctl stop agent-bus`.", EXIT_TRY_LATER
        ) from error
    try:
        if arguments.verb == "import-sqlite":
            content = _import(arguments, chosen)
        elif chosen.sqlite_file is None:
            content = _into_postgres(arguments, chosen)
        elif arguments.verb == "restore" and arguments.keep_epoch:
            raise AdminError("--keep-epoch is for a database on PostgreSQL", EXIT_SETTINGS)
        elif arguments.verb == "verify-db":
            found = backup.verify(_file(chosen))
            content = {"path": str(found.path), "bytes": found.size_bytes, "epoch": found.epoch,
                       "schema_version": found.schema_version, "sound": True}  # fmt: skip
        else:
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            if arguments.file is not None:
                backup.prepare(arguments.file, _file(chosen))
            restored = backup.put_in_place(_file(chosen), stamp=stamp)
            content = {name: str(value) for name, value in asdict(restored).items()}
    except (backup.DamagedError, OSError) as error:
        raise AdminError(f"{error}. Nothing was changed.", EXIT_FAILED) from error
    return content


def _into_postgres(arguments: argparse.Namespace, chosen: Settings) -> dict[str, Any]:
    """Fill PostgreSQL with a backup; all hubs are stopped."""
    from agent_bus.store.postgres import transfer

    if arguments.verb == "verify-db":
        raise AdminError(
            "PostgreSQL checks its own pages; `pg_amcheck` looks at all of them", EXIT_SETTINGS
        )
    if arguments.file is not None:
        epoch = backup.prepare(arguments.file, _file(chosen))
        if arguments.keep_epoch:
            epoch = backup.verify(arguments.file).epoch
    fresh = backup.prepared(_file(chosen))
    if arguments.file is None:
        epoch = backup.verify(fresh).epoch
    transfer.load(fresh, _address(chosen), epoch=epoch, now=time.time_ns() // 1_000_000)
    fresh.unlink()
    return {"epoch": epoch}


def _import(arguments: argparse.Namespace, chosen: Settings) -> dict[str, Any]:
    """Move a stopped hub's SQLite file into PostgreSQL, its history kept."""
    if chosen.sqlite_file is not None:
        raise AdminError(f"{arguments.config} names no PostgreSQL to import to", EXIT_SETTINGS)
    from agent_bus.store.postgres import move

    if arguments.only_compare:
        return {"seq": move.require_nothing_newer(arguments.file, _address(chosen))}
    target = chosen.backups_folder / f"bus-{time.strftime('%Y%m%dT%H%M%S000Z', time.gmtime())}.db"
    target.parent.mkdir(mode=0o700, exist_ok=True)
    instance.give_to_owner_of_folder(target.parent)
    try:
        moved = move.move(
            arguments.file,
            target,
            _address(chosen),
            replace=arguments.replace,
            now=time.time_ns() // 1_000_000,
        )
    except errors.BusError as error:
        raise AdminError(f"{error.detail} Nothing was changed.", EXIT_TRY_LATER) from error
    instance.give_to_owner_of_folder(target)
    kept, compared = moved.kept, moved.compared
    return {"backup": str(kept.path), "sha256": kept.sha256, "epoch": kept.epoch,
            "seq": compared.seq, "rows": compared.counts}  # fmt: skip


def _address(chosen: Settings) -> Address:
    """The PostgreSQL, with a file of its password that is there although the service is not."""
    from agent_bus.store.postgres.link.address import Address

    file = chosen.database_password_file
    if file is not None and not file.exists() and PASSWORD_FILE.exists():
        file = PASSWORD_FILE
    return Address(str(chosen.database), file)
