"""A database as one SQLite file of the same schema: what a backup is, on every store.

So one format is verified, fetched, restored, and carried from one store to the other.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Final

import apsw
import psycopg

from agent_bus.core import errors
from agent_bus.core.model import Backup
from agent_bus.store.postgres.link import connections
from agent_bus.store.postgres.link.migrate import migrate as migrate_target
from agent_bus.store.sqlite.file import migrate
from agent_bus.store.sqlite.file.backup import DamagedError, verify

if TYPE_CHECKING:
    from pathlib import Path

    from agent_bus.store.postgres.link.address import Address
    from agent_bus.store.postgres.link.connections import NativeConnection

_MESSAGE: Final = (
    "pk, id, thread_id, sender, subject, body, data, rank, reply_to, hops, created_at, expires_at"
)
_DELIVERY: Final = (
    "seq, message_pk, agent, sender, rank, pushed_at, received_at, accepted_at, wake_failed_at,"
    " wake_failure, escalated_at, overdue_at, fetched_at, last_fetched_at, fetch_count, read_at,"
    " expired_at"
)
TABLES: Final = {
    "agent": "name, node, registered_at, retired_at, last_seen_at",
    "group_member": "group_name, agent",
    "node_token": "node, sha256",
    "policy": "name, rules",
    "agent_token": "agent, sha256, node_too",
    "hold": "scope, name, reason, since_at, until_at, note",
    "wake_count": "slot_at, agent, sender, kind, count",
    "mailbox": "agent, unread, unfetched, last_seq, received_seq, accepted_seq, archived_seq",
    "message": f"{_MESSAGE}, open_count, closed_at",
    "delivery": _DELIVERY,
    "idempotency": "sender, key, payload_sha256, message_id, created_at",
    "archive_message": f"{_MESSAGE}, archived_at",
    "archive_delivery": _DELIVERY,
    "task": "pk, id, thread_id, owner, agent, client_id, context_name, state, created_at,"
    " updated_at, answer_id",
    "question": "pk, id, asker, agents, choices, asked_at, expires_at, answer_id, answered_by,"
    " choice, answered_at, ended_at",
    "question_link": "sha256, question_pk, expires_at, made_at",
    "ladder": "seq, message_pk, since",
    "ladder_step": "seq, target, message_pk, at, notice_key, notice_id, is_settled",
    "session": "sha256, token_sha256, expires_at",
    "audit": "pk, at, address, way, action, agent, detail, outcome",
    "storm": "key, signal, agents, since_at, held_at, released_at",
    "held_delivery": "seq, agent, storm, held_at, let_go_at",
    "webhook_stamp": "pk, kind, seq, agent, at",
    "webhook_event": "pk, webhook, kind, seq, at, attempts, queued_at, next_at",
    "telling": "seq, name, at",
    "webhook": "name, pending, delivered, dead, dropped, failures, held_until, succeeded_at,"
    " failed_at, error, disabled_at, lost_at",
}
"""The columns of all tables that both stores have; what hubs tell each other is not in them."""
OF_THE_STORE: Final = ("schema_version", "min_reader_version")
"""Keys of `meta` that are about the tables themselves."""
META: Final = "SELECT key, value FROM meta WHERE key <> ALL(%s)"
HEAD: Final = "SELECT seq FROM head"
SIZE: Final = "SELECT pg_database_size(current_database())"
LIVE_HUBS: Final = "SELECT name FROM hub WHERE seen_at > %s ORDER BY name"
LIVE_MS: Final = 10_000
"""A hub that was seen within this time is taken to be running."""
TAKE: Final = "UPDATE head SET pos = pos + 1, seq = %s"
EMPTY: Final = f"TRUNCATE {', '.join(TABLES)}, change, lease"
KEEP_META: Final = (
    "INSERT INTO meta (key, value) VALUES (%s, %s)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
DROP_META: Final = "DELETE FROM meta WHERE key <> ALL(%s)"
GO_ON_AFTER: Final = tuple(
    f"SELECT setval(pg_get_serial_sequence('{table}', 'pk'),"
    f" (SELECT coalesce(max(pk), 0) + 1 FROM {table}), false)"
    for table in ("audit", "webhook_stamp", "webhook_event")
)
_OF_SQLITE: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'delivery'"
ROWS_AT_ONCE: Final = 1000
PATIENCE_S: Final = 300.0


def export(address: Address, target: Path) -> Backup:
    """Write what one transaction sees to `target`, verified and synced before it gets that name.

    Blocks: call it in a native thread. Senders and readers go on during it.

    Raises:
        errors.DiskFullError: no room; nothing is left behind.
        errors.BackupFailedError: anything else; nothing is left behind.
    """
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        source, _ = connections.to_reader(address, patience_s=PATIENCE_S)
        try:
            _require_room(source, target.parent)
            _copy(source, part)
        finally:
            source.drop()
        part.chmod(0o600)
        found = verify(part)
        _sync(part)
        part.rename(target)
        _sync(target.parent)
    except apsw.FullError as error:
        raise errors.DiskFullError from error
    except (psycopg.Error, apsw.Error, OSError, DamagedError) as error:
        raise errors.BackupFailedError(str(error).strip()) from error
    finally:
        part.unlink(missing_ok=True)
    return Backup(target, found.size_bytes, found.sha256, found.epoch, found.schema_version)


def load(file: Path, address: Address, *, epoch: str, now: int) -> None:
    """Replace all that a database holds by what a file does, in one transaction.

    The file is a verified copy of a backup of any store, of any schema that this release knows; it
    is brought to the newest one. All hubs must be stopped.

    Raises:
        errors.StartupError: a hub is running, or there is no primary; nothing was changed.
    """
    source = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        migrate.migrate(source)
        with connections.to_primary(address, patience_s=PATIENCE_S).connection as target:
            migrate_target(target)
            with target.transaction():
                _require_silence(target, now)
                row = source.execute(_OF_SQLITE).fetchone()
                target.execute(TAKE, (row[0] if row else 0,))
                target.execute(EMPTY)
                for table, columns in TABLES.items():
                    _load_table(source, target, table, columns)
                _load_meta(source, target)
                target.execute(KEEP_META, ("epoch", epoch))
                for sql in GO_ON_AFTER:
                    target.execute(sql)
    except psycopg.Error as error:
        raise errors.StartupError(
            f"{address.shown} cannot be filled: {str(error).strip()}"
        ) from error
    finally:
        source.close()


def _require_silence(target: NativeConnection, now: int) -> None:
    live = [str(name) for (name,) in target.execute(LIVE_HUBS, (now - LIVE_MS,))]
    if live:
        raise errors.StartupError(f"Stop every hub first; {', '.join(live)} was seen just now.")


def _load_table(
    source: apsw.Connection, target: NativeConnection, table: str, columns: str
) -> None:
    with target.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for row in source.execute(f"SELECT {columns} FROM {table}"):
            copy.write_row(row)


def _load_meta(source: apsw.Connection, target: NativeConnection) -> None:
    target.execute(DROP_META, (list(OF_THE_STORE),))
    for key, value in source.execute("SELECT key, value FROM meta"):
        if key not in OF_THE_STORE:
            target.execute(KEEP_META, (key, value))


def _copy(source: NativeConnection, part: Path) -> None:
    copy = apsw.Connection(str(part))
    try:
        # Nobody reads it before it is whole, so it needs no journal.
        for pragma in ("auto_vacuum = INCREMENTAL", "journal_mode = OFF", "synchronous = OFF"):
            copy.execute(f"PRAGMA {pragma}").fetchall()
        migrate.migrate(copy)
        copy.execute("BEGIN")
        source.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for table, columns in TABLES.items():
            copy.execute(f"DELETE FROM {table}")
            _copy_table(source, copy, table, columns)
        copy.executemany(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
            source.execute(META, (list(OF_THE_STORE),)).fetchall(),
        )
        head = connections.one(source, HEAD)
        copy.execute("DELETE FROM sqlite_sequence WHERE name = 'delivery'")
        copy.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('delivery', ?)", (head,))
        copy.execute("COMMIT")
    finally:
        copy.close()


def _copy_table(source: NativeConnection, copy: apsw.Connection, table: str, columns: str) -> None:
    marks = ", ".join("?" * len(columns.split(",")))
    insert = f"INSERT INTO {table} ({columns}) VALUES ({marks})"
    key = columns.partition(",")[0]  # in that order SQLite only appends
    with source.cursor(name="export") as rows:
        rows.execute(f"SELECT {columns} FROM {table} ORDER BY {key}")
        while found := rows.fetchmany(ROWS_AT_ONCE):
            copy.executemany(insert, found)


def _require_room(source: psycopg.Connection[Any], folder: Path) -> None:
    """Refuse a copy that would fill the disk.

    Raises:
        errors.DiskFullError: says how much is needed and how much there is.
    """
    needed, free = int(connections.one(source, SIZE)), shutil.disk_usage(folder).free
    if free < needed:
        raise errors.DiskFullError(
            f"A backup needs up to {needed / 1e6:,.1f} MB, {folder} has {free / 1e6:,.1f} MB free."
            " Make room there, such as by deleting old backups,"
        )


def _sync(path: Path) -> None:
    """Sync a file, or a folder after a rename in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
