"""The SQLite store: opens the file, owns the connections, and joins writer, readers and sweeps.

Threads: one native thread writes (`writer.py`), a few read; the greenlets that call this class
wait, the loop never does. The pragmas below are the durability contract, each with its reason.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

import apsw

from agent_bus import errors
from agent_bus.model import new_message_id
from agent_bus.runtime import ThreadedPool
from agent_bus.store import commands, history, reads, registry, sweeps
from agent_bus.store.desk import Desk
from agent_bus.store.migrate import migrate
from agent_bus.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent_bus.clock import Clock
    from agent_bus.latency import Histogram
    from agent_bus.model import (
        Acked,
        Agent,
        AgentName,
        Delivery,
        Draft,
        Fetched,
        Mailbox,
        Message,
        MessageId,
        Roster,
        RosterChange,
        Sent,
        Seq,
        Stamp,
    )
    from agent_bus.store import Listener

logger = logging.getLogger(__name__)

PRAGMAS_ON_EMPTY: Final = (
    # Freed pages can be given back to the file system; cannot be turned on later without a copy.
    "PRAGMA auto_vacuum = INCREMENTAL",
)
PRAGMAS_WRITER: Final = (
    # Readers never wait for the writer, and a commit is one sequential append.
    "PRAGMA journal_mode = WAL",
    # One fsync a commit: what was answered survives a power cut (NORMAL would not).
    "PRAGMA synchronous = FULL",
    # The writer thread checkpoints when nothing waits; SQLite's own would do it within a commit.
    "PRAGMA wal_autocheckpoint = 0",
    # After a checkpoint the WAL file is cut back to this, or one burst would keep its size.
    "PRAGMA journal_size_limit = 67108864",
    # Savepoints and sorts spill here: a full /tmp must not fail a send.
    "PRAGMA temp_store = MEMORY",
    # Only this process has the file; a short wait covers a reader that is being opened.
    "PRAGMA busy_timeout = 5000",
)
CHECKED_AT_START_BYTES: Final = 128 * 1024 * 1024
"""A larger file is not read through at start: a hub that was killed must be back within a second.
The reference fleet's file stays far below; each backup checks every page of whatever size."""
PRAGMAS_READER: Final = (
    # Belt and braces beside the read-only open flag.
    "PRAGMA query_only = ON",
    # As for the writer.
    "PRAGMA temp_store = MEMORY",
    "PRAGMA busy_timeout = 5000",
)

INDEX_BYTES: Final = 1 << 20
"""Room kept for the WAL's index (`-shm`): enough for a WAL of 500 MB. SQLite makes it grow within
a commit, and for want of room fails that commit in a way that leaves its fate unknown."""


class SqliteStore:
    """See `agent_bus.store.Store`; one instance a process, one process a file.

    Args:
        path: the database file; made when missing.
        listener: told of each commit in the loop, in commit order.
        fatal: ends the process when a commit's fate is unknown.

    Raises:
        errors.StartupError: the file is damaged, no database, too new, or cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        readers: int,
        listener: Listener,
        fatal: Callable[[], None],
    ) -> None:
        self._path = path
        self._clock = clock
        self._listener = listener
        self._connection = _open_writer(path)
        self._index = _reserve_index(path)
        self.epoch = str(_one(self._connection, "SELECT value FROM meta WHERE key = 'epoch'"))
        self._facts = _facts(self._connection)
        self._writer = Writer(self._connection, fatal=fatal)
        self._readers = ThreadedPool([_open_reader(path) for _ in range(readers)])
        self.desk = Desk(readers=self._readers, writer=self._writer)

    def close(self) -> None:
        """Finish what waits, then close all connections (SQLite checkpoints at the last)."""
        self._writer.close()
        self._readers.close(lambda connection: connection.close())
        self._connection.close()
        os.close(self._index)

    # Writing: see the protocol in `store/__init__.py` for what each promises.

    def send(self, draft: Draft, *, hop_limit: int) -> Sent:
        """Store a message with one delivery a recipient."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        message_id = new_message_id(now)

        def apply(connection: apsw.Connection) -> Sent:
            return commands.send(
                connection,
                draft,
                message_id=message_id,
                now=now,
                steady=steady,
                hop_limit=hop_limit,
            )

        return self._writer.run(apply, committed=self._listener.on_sent)

    def ack_ids(self, agent: AgentName, ids: Sequence[MessageId]) -> Acked:
        """Mark these messages as read by `agent`."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        return self._writer.run(
            lambda connection: commands.ack_ids(connection, agent, ids, now=now, steady=steady),
            committed=self._listener.on_acked,
        )

    def ack_up_to(self, agent: AgentName, last: MessageId) -> Acked:
        """Mark what was shown up to one message as read."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        return self._writer.run(
            lambda connection: commands.ack_up_to(connection, agent, last, now=now, steady=steady),
            committed=self._listener.on_acked,
        )

    def fetch(self, agent: AgentName, seqs: Sequence[Seq]) -> Fetched:
        """Stamp a page as shown."""
        now = self._clock.now_ms()
        return self._writer.run(
            lambda connection: commands.fetch(connection, agent, seqs, now=now),
            committed=lambda fetched: self._listener.on_mailboxes(fetched.mailboxes),
        )

    def stamp(self, stamps: Sequence[Stamp]) -> None:
        """Record hops; nobody waits."""
        self._writer.post(lambda connection: commands.stamp(connection, stamps))

    def put_roster(self, roster: Roster, *, force: bool, dry_run: bool) -> RosterChange:
        """Make the registry match the inventory."""
        now = self._clock.now_ms()

        def committed(result: tuple[RosterChange, tuple[Roster, list[Agent]] | None]) -> None:
            if result[1] is not None:
                self._listener.on_roster(*result[1])

        change, _ = self._writer.run(
            lambda connection: registry.put(
                connection, roster, force=force, dry_run=dry_run, now=now
            ),
            committed=committed,
        )
        return change

    def touch_agents(self, seen: dict[AgentName, int]) -> None:
        """Keep when agents were last seen; nobody waits."""
        self._writer.post(lambda connection: registry.touch(connection, seen))

    def sweep(self, *, retain_read_ms: int, retain_archive_ms: int, limit: int) -> int:
        """Expire, archive and drop a bounded number of messages."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        touched, _ = self._writer.run(
            lambda connection: sweeps.sweep(
                connection,
                now=now,
                steady=steady,
                retain_read_ms=retain_read_ms,
                retain_archive_ms=retain_archive_ms,
                limit=limit,
            ),
            committed=lambda result: self._listener.on_mailboxes(result[1]),
        )
        return touched

    # Reading

    def replay_of(self, sender: AgentName, key: str) -> bool:
        """Whether this idempotency key has an answer already."""
        since = self._clock.steady_ms() - commands.KEY_LIFETIME_MS
        return self._readers.run(lambda c: reads.known_key(c, sender, key, since=since))

    def roster(self) -> tuple[Roster, list[Agent]]:
        """The registry as stored."""
        return self._readers.run(lambda c: reads.snapshot(c, registry.load))

    def mailboxes(self) -> list[Mailbox]:
        """Counters of all agents."""
        return self._readers.run(reads.mailboxes)

    def head(self) -> Seq:
        """The newest seq ever given."""
        return self._readers.run(reads.head)

    def inbox(
        self,
        agent: AgentName,
        *,
        unread: bool,
        rank: int | None,
        thread: str | None,
        after: tuple[int, int],
        limit: int,
    ) -> list[Delivery]:
        """A page of deliveries after (rank, seq)."""
        bindings: dict[str, Any] = {
            "agent": agent,
            "thread": thread,
            "now": self._clock.steady_ms(),
            "limit": limit,
        }

        def read(connection: apsw.Connection) -> list[Delivery]:
            return reads.inbox(
                connection, unread=unread, rank=rank, after=after, bindings=bindings
            )

        return self._readers.run(lambda c: reads.snapshot(c, read))

    def replay(
        self, agents: Sequence[AgentName], *, after: int, until: int, unread: bool, limit: int
    ) -> list[Delivery]:
        """The next deliveries of these agents, in seq order."""
        now = self._clock.steady_ms()
        bindings: dict[str, Any] = {"after": after, "until": until, "now": now, "limit": limit}

        def read(connection: apsw.Connection) -> list[Delivery]:
            return reads.replay(connection, agents, unread=unread, bindings=bindings)

        return self._readers.run(lambda c: reads.snapshot(c, read))

    def lowest_unread(self, agents: Sequence[AgentName]) -> Seq | None:
        """The oldest unread delivery over these agents."""
        return self._readers.run(lambda c: reads.lowest_unread(c, agents))

    def archived_seq(self, agents: Sequence[AgentName]) -> Seq:
        """The newest archived delivery over these agents."""
        return self._readers.run(lambda c: reads.archived_seq(c, agents))

    def history(
        self,
        agent: AgentName | None,
        *,
        partner: AgentName | None,
        thread: str | None,
        since: int | None,
        until: int | None,
        archived: bool,
        after: int | None,
        ascending: bool,
        limit: int,
    ) -> list[tuple[Message, list[Delivery]]]:
        """A page of messages by seq."""
        bindings: dict[str, Any] = {
            "since": since,
            "until": until,
            "thread": thread,
            "after": (0 if ascending else 1 << 62) if after is None else after,
            "limit": limit,
        }

        def read(connection: apsw.Connection) -> list[tuple[Message, list[Delivery]]]:
            return history.page(
                connection,
                agent=agent,
                partner=partner,
                archived=archived,
                ascending=ascending,
                bindings=bindings,
            )

        return self._readers.run(lambda c: reads.snapshot(c, read))

    def message(self, message_id: MessageId) -> tuple[Message, list[Delivery]] | None:
        """One message with all its deliveries."""
        return self._readers.run(
            lambda c: reads.snapshot(c, lambda same: reads.message(same, message_id))
        )

    def oldest_unread(self) -> dict[AgentName, int]:
        """When each agent's oldest unread message was created."""
        return self._readers.run(lambda c: reads.snapshot(c, reads.oldest_unread))

    def counts(self) -> dict[str, int]:
        """Sizes: see `reads.counts`; commits and commands since the start; WAL bytes."""
        found = self._readers.run(reads.counts)
        wal = self._path.with_name(self._path.name + "-wal")
        return {
            **found,
            "wal_bytes": wal.stat().st_size if wal.exists() else 0,
            "commits": self._writer.batches,
            "commands": self._writer.commands,
        }

    def histograms(self) -> dict[str, Histogram]:
        """What the writer measured."""
        return {
            "batch_commands": self._writer.batch_sizes,
            "commit_s": self._writer.commit_times,
        }

    def facts(self) -> dict[str, object]:
        """What the database runs with, read back from it at start."""
        return dict(self._facts)


def _open_writer(path: Path) -> apsw.Connection:
    created = not path.exists() or path.stat().st_size == 0
    try:
        connection = apsw.Connection(str(path))
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


def _reserve_index(path: Path) -> int:
    """Give the WAL's index its room now, if there is any; answers the open file.

    The file stays open as long as the connections: closing any descriptor of a file drops all
    POSIX locks that the process has on it, SQLite's too (sqlite.org/howtocorrupt.html, 2.2).
    """
    index = os.open(path.with_name(path.name + "-shm"), os.O_RDWR | os.O_CLOEXEC)
    try:
        os.posix_fallocate(index, 0, INDEX_BYTES)
    except OSError as error:
        logger.warning("No room is kept for the index of the WAL: %s", error)
    return index


def _check(connection: apsw.Connection, path: Path) -> None:
    facts = _facts(connection)
    wanted = {"journal_mode": "wal", "synchronous": "full", "auto_vacuum": "incremental"}
    for name, value in wanted.items():
        if facts[name] != value:
            raise errors.StartupError(
                f"{path}: {name} is {facts[name]!r} and must be {value!r}; is the file on a "
                "network file system?"
            )
    if path.stat().st_size > CHECKED_AT_START_BYTES:
        logger.info("The database is large: its pages are checked by each backup, not at start")
        return
    verdict = _one(connection, "PRAGMA quick_check(1)")
    if verdict != "ok":
        raise apsw.CorruptError(str(verdict))


def _facts(connection: apsw.Connection) -> dict[str, object]:
    synchronous = {0: "off", 1: "normal", 2: "full", 3: "extra"}
    auto_vacuum = {0: "none", 1: "full", 2: "incremental"}
    return {
        "journal_mode": _one(connection, "PRAGMA journal_mode"),
        "synchronous": synchronous[_one(connection, "PRAGMA synchronous")],
        "auto_vacuum": auto_vacuum[_one(connection, "PRAGMA auto_vacuum")],
        "schema_version": _one(connection, "PRAGMA user_version"),
        "sqlite_version": apsw.sqlite_lib_version(),
    }


def _open_reader(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    for pragma in PRAGMAS_READER:
        connection.execute(pragma)
    return connection


def _one(connection: apsw.Connection, sql: str) -> Any:  # noqa: ANN401 - a pragma's value
    return connection.execute(sql).fetchone()[0]  # type: ignore[index] # these always have a row
