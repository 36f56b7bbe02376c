"""The SQLite store: owns the connections, and joins writer, readers and sweeps.

Threads: one native thread writes (`write/writer.py`), a few read; the greenlets that call this
class wait, the loop never does.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

from agent_bus.core import states
from agent_bus.core.task import Step
from agent_bus.runtime.greenlets import ThreadedPool, Waiter
from agent_bus.store import task_thread
from agent_bus.store.cluster import ALONE
from agent_bus.store.contract import KEY_LIFETIME_MS
from agent_bus.store.outgoing import Noting
from agent_bus.store.sqlite.file import backup, connections
from agent_bus.store.sqlite.outgoing import SqliteOutgoing
from agent_bus.store.sqlite.pending import SqlitePending
from agent_bus.store.sqlite.read import history, reads, tasks
from agent_bus.store.sqlite.records import SqliteRecords
from agent_bus.store.sqlite.storms import SqliteStorms
from agent_bus.store.sqlite.wake_book import SqliteWakeBook
from agent_bus.store.sqlite.write import commands, rosters, sweeps
from agent_bus.store.sqlite.write.sends import Send, Sender
from agent_bus.store.sqlite.write.writer import Command, Writer, alone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import apsw

    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.question import Part
    from agent_bus.core.latency import Histogram
    from agent_bus.core.model import (
        Acked,
        Agent,
        AgentName,
        Ages,
        Backup,
        Delivery,
        Draft,
        Fetched,
        MailboxCounts,
        Message,
        MessageId,
        Roster,
        RosterChange,
        Sent,
        Seq,
        Stamp,
    )
    from agent_bus.core.slices import HistorySlice, InboxSlice, ReplaySlice, SweepBounds
    from agent_bus.core.states import WebhookEvent
    from agent_bus.core.task import Task, Tasks, TaskSlice, TaskThread
    from agent_bus.store.contract import Listener

ROOM_BYTES: Final = 1 << 20
"""Below this the disk counts as full: in the last few kilobytes a stamp still finds room, but no
message does."""


class SqliteStore:
    """See `agent_bus.store.contract.Backend`; one instance per process, one process per file.

    Args:
        path: the database file; made when missing.
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
        fatal: Callable[[], None],
    ) -> None:
        self._path = path
        self._clock = clock
        self._listener: Listener
        self._connection = connections.writer(path)
        self._index = connections.reserve_index(path)
        self.epoch = connections.epoch(self._connection)
        self._facts = connections.facts(self._connection)
        self._sender = Sender(clock)
        self._store_sends = self._sender.store  # one object, by which its commands are gathered
        self._writer = Writer(self._connection, fatal=fatal, has_room=self._has_room)
        self._readers = ThreadedPool([connections.reader(path) for _ in range(readers)])
        self.cluster = ALONE
        self.records = SqliteRecords(readers=self._readers, writer=self._writer)
        self.pending = SqlitePending(readers=self._readers, writer=self._writer, clock=clock)
        self.storms = SqliteStorms(readers=self._readers, writer=self._writer)
        self._noting = Noting()
        self.outgoing = SqliteOutgoing(
            readers=self._readers, writer=self._writer, noting=self._noting, clock=clock
        )
        self.wake_book = SqliteWakeBook(readers=self._readers, writer=self._writer)

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of each commit in the loop, in commit order."""
        self._listener = listener

    def close(self) -> None:
        """Finish what waits, then close all connections (SQLite checkpoints at the last)."""
        self._writer.close()
        self._readers.close(lambda connection: connection.close())
        self._connection.close()
        os.close(self._index)

    def write_backup(self, target: Path) -> Backup:
        """Copy the live database to `target` in the thread that calls this."""
        return backup.write(self._path, target)

    # Writing: `store/contract.py` says what each promises.

    def send(self, draft: Draft, *, depth_limit: int, step: Step | Part | None = None) -> Sent:
        """Store a message with one delivery per recipient."""
        waiter: Waiter[Sent] = Waiter()
        self.begin_send(draft, depth_limit=depth_limit, step=step, done=waiter.settle)
        return waiter.wait()

    def begin_send(
        self,
        draft: Draft,
        *,
        depth_limit: int,
        step: Step | Part | None = None,
        done: Callable[[Sent | Exception], object],
    ) -> None:
        """Queue a send."""
        send = Send(draft, depth_limit, isinstance(step, Step))
        told = self._listener.on_sent
        if step is None:
            self._writer.begin(Command(send, self._store_sends, told, done))
        else:
            take = partial(self._sender.take, one=send, step=step)
            self._writer.begin(Command(take, alone, told, done))

    def ack_ids(self, agent: AgentName, ids: Sequence[MessageId]) -> Acked:
        """Mark these messages as read by `agent`."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        return self._writer.run(
            lambda connection: commands.ack_ids(
                connection, agent, ids, now=now, steady=steady, is_noted=self._notes(states.READ)
            ),
            committed=self._listener.on_acked,
        )

    def ack_up_to(self, agent: AgentName, last: MessageId) -> Acked:
        """Mark what was shown up to one message as read."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        return self._writer.run(
            lambda connection: commands.ack_up_to(
                connection, agent, last, now=now, steady=steady, is_noted=self._notes(states.READ)
            ),
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
        is_noted = self._notes(states.OVERDUE)
        self._writer.post(
            lambda connection: commands.stamp(connection, stamps, is_overdue_noted=is_noted)
        )

    def _notes(self, kind: WebhookEvent) -> bool:
        return kind in self._noting.kinds

    def put_roster(self, roster: Roster, *, force: bool, dry_run: bool) -> RosterChange:
        """Replace the stored roster."""
        now = self._clock.now_ms()

        def committed(result: tuple[RosterChange, tuple[Roster, list[Agent]] | None]) -> None:
            if result[1] is not None:
                self._listener.on_roster(*result[1])

        change, _ = self._writer.run(
            lambda connection: rosters.put(
                connection, roster, force=force, dry_run=dry_run, now=now
            ),
            committed=committed,
        )
        return change

    def touch_agents(self, seen: dict[AgentName, int]) -> None:
        """Keep when agents were last seen; nobody waits."""
        self._writer.post(lambda connection: rosters.touch(connection, seen))

    def sweep(self, within: SweepBounds) -> int:
        """Expire, archive and drop a bounded number of messages."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        touched, _ = self._writer.run(
            lambda connection: sweeps.sweep(connection, within, now=now, steady=steady),
            committed=lambda result: self._listener.on_mailboxes(result[1]),
        )
        return touched

    # Reading

    def replay_of(self, sender: AgentName, key: str) -> bool:
        """Whether this idempotency key has an answer already."""
        since = self._clock.steady_ms() - KEY_LIFETIME_MS
        return self._readers.run(lambda c: reads.known_key(c, sender, key, since=since))

    def next_expiry(self) -> int | None:
        """When the next open message expires."""
        return self._readers.run(sweeps.next_expiry)

    def roster(self) -> tuple[Roster, list[Agent]]:
        """The stored roster, and all agents."""
        return self._readers.run(lambda c: reads.snapshot(c, rosters.load))

    def mailboxes(self) -> list[MailboxCounts]:
        """Counters of all agents."""
        return self._readers.run(reads.mailboxes)

    def head(self) -> Seq:
        """The newest seq ever given."""
        return self._readers.run(reads.head)

    def inbox(self, wanted: InboxSlice) -> list[Delivery]:
        """A page of an inbox."""
        now = self._clock.steady_ms()
        return self._readers.run(
            lambda c: reads.snapshot(c, lambda same: reads.inbox(same, wanted, now=now))
        )

    def replay(self, wanted: ReplaySlice) -> list[Delivery]:
        """The next deliveries of some agents."""
        now = self._clock.steady_ms()
        return self._readers.run(
            lambda c: reads.snapshot(c, lambda same: reads.replay(same, wanted, now=now))
        )

    def lowest_unread(self, agents: Sequence[AgentName]) -> Seq | None:
        """The oldest unread delivery over these agents."""
        return self._readers.run(lambda c: reads.lowest_unread(c, agents))

    def archived_seq(self, agents: Sequence[AgentName]) -> Seq:
        """The newest archived delivery over these agents."""
        return self._readers.run(lambda c: reads.archived_seq(c, agents))

    def history(self, wanted: HistorySlice) -> list[tuple[Message, list[Delivery]]]:
        """A page of the past."""
        return self._readers.run(
            lambda c: reads.snapshot(c, lambda same: history.page(same, wanted))
        )

    def message(self, message_id: MessageId) -> tuple[Message, list[Delivery]] | None:
        """One message with all its deliveries."""
        return self._readers.run(
            lambda c: reads.snapshot(c, lambda same: reads.message(same, message_id))
        )

    def task(self, task_id: MessageId) -> Task | None:
        """A task by its id."""
        return self._readers.run(lambda c: tasks.one(c, task_id))

    def newest_task(self, owner: AgentName, agent: AgentName, *, context: str) -> Task | None:
        """The newest task of a context that its owner named."""
        return self._readers.run(lambda c: tasks.newest(c, owner, agent, context))

    def tasks(self, wanted: TaskSlice) -> Tasks:
        """A page of tasks, and how many there are."""
        return self._readers.run(lambda c: reads.snapshot(c, lambda s: tasks.page(s, wanted)))

    def task_thread(self, of: Task, *, limit: int) -> TaskThread:
        """What was written in a task's thread since its message."""
        slices = task_thread.slices(of, limit=limit)

        def read(connection: apsw.Connection) -> TaskThread:
            found = [one for part in slices for one in history.page(connection, part)]
            answer = None
            if of.answer_id is not None and of.answer_id not in {m.id for m, _ in found}:
                answer = reads.message(connection, of.answer_id)
            return task_thread.joined(of, found, answer, tasks.in_thread(connection, of.thread_id))

        return self._readers.run(lambda c: reads.snapshot(c, read))

    def oldest_unread(self) -> dict[AgentName, int]:
        """When each agent's oldest unread message was created."""
        return self._readers.run(lambda c: reads.snapshot(c, reads.oldest_unread))

    def last_wakes(self) -> dict[AgentName, int]:
        """When each agent's gateway last accepted a wake."""
        return self._readers.run(reads.last_wakes)

    def ages(self) -> Ages:
        """Since when tokens are in rotation, and how old archive and roster are."""
        return self._readers.run(lambda c: reads.snapshot(c, rosters.ages))

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

    def writing(self) -> str:
        """Whether writes can be done."""
        if self._writer.is_lost:
            return "the disk failed during a commit; the hub ends and starts again"
        if not self._has_room():
            return "the disk is full; what has to be stored is answered 507"
        return "ok"

    def _has_room(self) -> bool:
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize >= ROOM_BYTES

    def histograms(self) -> dict[str, Histogram]:
        """What the writer measured."""
        return {
            "batch_commands": self._writer.batch_sizes,
            "commit_s": self._writer.commit_times,
            "transaction_s": self._writer.transaction_times,
        }

    def replication(self) -> None:
        """A file has no copies."""

    def facts(self) -> dict[str, object]:
        """What the database runs with, read back from it at start."""
        return dict(self._facts)
