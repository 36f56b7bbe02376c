"""The PostgreSQL store: owns the connections, and joins writer, readers and sweeps.

Threads: one native thread writes (`write/writer.py`), a few read; the greenlets that call this
class wait, the loop never does.
"""

from __future__ import annotations

import logging
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg

from agent_bus.core import errors
from agent_bus.core.model import new_message_id
from agent_bus.core.task import Step
from agent_bus.runtime.greenlets import Waiter
from agent_bus.store.contract import KEY_LIFETIME_MS
from agent_bus.store.postgres import questions, tasks, transfer
from agent_bus.store.postgres.cluster import elsewhere
from agent_bus.store.postgres.cluster.postgres_cluster import PostgresCluster
from agent_bus.store.postgres.cluster.statements import Me
from agent_bus.store.postgres.link import connections, fitness
from agent_bus.store.postgres.link.migrate import migrate, schema_version
from agent_bus.store.postgres.link.pool import Readers
from agent_bus.store.postgres.link.primary import PrimaryLink
from agent_bus.store.postgres.outgoing import PostgresOutgoing
from agent_bus.store.postgres.pending import PostgresPending
from agent_bus.store.postgres.read import history, reads, replication, vitals
from agent_bus.store.postgres.read.snapshot import snapshot
from agent_bus.store.postgres.records import PostgresRecords
from agent_bus.store.postgres.storms import PostgresStorms
from agent_bus.store.postgres.wake_book import PostgresWakeBook
from agent_bus.store.postgres.write import facts, rosters, sweeps
from agent_bus.store.postgres.write.acks import Ack
from agent_bus.store.postgres.write.fetches import Fetch
from agent_bus.store.postgres.write.sends import Send
from agent_bus.store.postgres.write.transaction import Applied, Command
from agent_bus.store.postgres.write.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

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
    from agent_bus.core.task import Task, Tasks, TaskSlice, TaskThread
    from agent_bus.store.contract import Listener, Replication
    from agent_bus.store.postgres.cluster.fence import Ask
    from agent_bus.store.postgres.link.address import Address
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.write.transaction import Work

logger = logging.getLogger(__name__)
logging.getLogger("psycopg").setLevel(logging.ERROR)  # what it warns of is reported here

T = TypeVar("T")

PATIENCE_AT_START_S: Final = 12.0
"""How long a hub that starts waits for a primary; then it ends, and systemd starts it again. With
a last round over dead hosts it stays below gunicorn's 30 s for a worker's start."""
PAUSE_S: Final = 0.5


class PostgresStore:
    """See `agent_bus.store.contract.Backend`; one instance per process, many per database.

    Args:
        name: this hub's name, in what other hubs are told.
        url: under which clients reach it, for other hubs to tell.
        version: the release that runs.
        asks: for each other hub, what asks it how it writes.
        fatal: ends the process, when it has missed too much to go on.
        commit_timeout_s: how long the database may take for a commit, standbys included.

    Raises:
        errors.StartupError: there is no primary, or its schema is too new.
    """

    def __init__(
        self,
        address: Address,
        *,
        clock: Clock,
        readers: int,
        name: str = "hub",
        url: str | None = None,
        version: str = "",
        asks: Sequence[Ask] = (),
        fatal: Callable[[], None] = lambda: None,
        commit_timeout_s: float = 3.0,
    ) -> None:
        self._address = address
        self._clock = clock
        self._listener: Listener
        self.name = f"{name}:{secrets.token_hex(4)}"
        self._link = PrimaryLink(address, patience_s=commit_timeout_s)
        connection = self._first_connection(address)
        self.epoch = str(connections.one(connection, connections.EPOCH))
        self._facts = {
            **connections.facts(connection),
            "schema_version": schema_version(connection),
        }
        self._writer = Writer(self._link, hub=self.name, clock=clock)
        self._readers = Readers(address, size=readers, lead=lambda: self._link.lead)
        self.cluster = PostgresCluster(
            Me(name, self.name, url, version),
            address=address,
            readers=self._readers,
            writer=self._writer,
            told=self._link.pos,
            load_roster=self.roster,
            asks=asks,
            clock=clock,
            fatal=fatal,
        )
        self._writer.follower = self.cluster
        self.records = PostgresRecords(readers=self._readers, writer=self._writer)
        self.storms = PostgresStorms(readers=self._readers, writer=self._writer)
        self.outgoing = PostgresOutgoing(readers=self._readers, writer=self._writer, clock=clock)
        self.pending = PostgresPending(readers=self._readers, writer=self._writer, clock=clock)
        self.wake_book = PostgresWakeBook(
            readers=self._readers, writer=self._writer, cluster=self.cluster
        )

    def _first_connection(self, address: Address) -> connections.NativeConnection:
        deadline = time.monotonic() + PATIENCE_AT_START_S
        told = ""
        while True:
            try:
                with connections.to_primary(address).connection as connection:
                    fitness.require(connection)
                    migrate(connection)
                return self._link.connection(PATIENCE_AT_START_S)
            except psycopg.OperationalError as error:
                if time.monotonic() >= deadline:
                    raise errors.StartupError(
                        f"No primary of {address.shown} can be reached: {error}"
                    ) from error
                if str(error) != told:
                    told = str(error)
                    logger.warning("There is no primary yet: %s", told)
                time.sleep(PAUSE_S)
            except psycopg.Error as error:
                raise errors.StartupError(f"{address.shown} cannot be used: {error}") from error

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of each commit in the loop, in commit order."""
        self._listener = listener

    def close(self) -> None:
        """Finish what waits, then close all connections."""
        self.cluster.close()
        self._writer.close()
        self._readers.close()

    def write_backup(self, target: Path) -> Backup:
        """Copy the database to a file in the thread that calls this."""
        return transfer.export(self._address, target)

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
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        is_step = isinstance(step, Step)
        send = Send(draft, new_message_id(now), now, steady, depth_limit, is_step=is_step)
        work: Work = send
        if isinstance(step, Step):
            work = Applied(partial(tasks.take, step=step, work=send), facts.sent)
        elif step is not None:
            work = Applied(partial(questions.take, part=step, work=send), facts.sent)
        self._writer.begin(Command(work, self._listener.on_sent, done))

    def ack_ids(self, agent: AgentName, ids: Sequence[MessageId]) -> Acked:
        """Mark these messages as read by `agent`."""
        return self._ack(agent, tuple(ids), up_to=False)

    def ack_up_to(self, agent: AgentName, last: MessageId) -> Acked:
        """Mark what was shown up to one message as read."""
        return self._ack(agent, (last,), up_to=True)

    def _ack(self, agent: AgentName, ids: tuple[MessageId, ...], *, up_to: bool) -> Acked:
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        acked: Acked = self._writer.do(
            Ack(agent, ids, up_to, now, steady), committed=self._listener.on_acked
        )
        return acked

    def fetch(self, agent: AgentName, seqs: Sequence[Seq]) -> Fetched:
        """Stamp a page as shown."""
        fetched: Fetched = self._writer.do(
            Fetch(agent, tuple(seqs), self._clock.now_ms()),
            committed=lambda found: self._listener.on_mailboxes(found.mailboxes),
        )
        return fetched

    def stamp(self, stamps: Sequence[Stamp]) -> None:
        """Record hops; nobody waits."""
        self._writer.post(list(stamps))

    def put_roster(self, roster: Roster, *, force: bool, dry_run: bool) -> RosterChange:
        """Replace the stored roster."""
        now = self._clock.now_ms()

        def committed(result: tuple[RosterChange, tuple[Roster, list[Agent]] | None]) -> None:
            if result[1] is not None:
                self._listener.on_roster(*result[1])

        change, _ = self._writer.run(
            lambda c: rosters.put(c, roster, force=force, dry_run=dry_run, now=now),
            committed=committed,
            facts=lambda result: facts.roster() if result[1] is not None else [],
        )
        return change

    def touch_agents(self, seen: dict[AgentName, int]) -> None:
        """Keep when agents were last seen; nobody waits."""
        self._writer.post(Applied(lambda connection: rosters.touch(connection, seen)))

    def sweep(self, within: SweepBounds) -> int:
        """Expire, archive and drop a bounded number of messages."""
        now, steady = self._clock.now_ms(), self._clock.steady_ms()
        touched, _ = self._writer.run(
            lambda c: sweeps.sweep(c, within, now=now, steady=steady),
            committed=lambda result: self._listener.on_mailboxes(result[1]),
            facts=lambda result: facts.mailboxes(result[1]),
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
        return self._readers.run(lambda c: snapshot(c, rosters.load))

    def mailboxes(self) -> list[MailboxCounts]:
        """Counters of all agents."""
        return self._readers.run(vitals.mailboxes)

    def head(self) -> Seq:
        """The newest seq ever given."""
        return self._readers.run(reads.head)

    def inbox(self, wanted: InboxSlice) -> list[Delivery]:
        """A page of an inbox."""
        now = self._clock.steady_ms()
        return self._readers.run(lambda c: reads.inbox(c, wanted, now=now))

    def replay(self, wanted: ReplaySlice) -> list[Delivery]:
        """The next deliveries of some agents."""
        now = self._clock.steady_ms()
        return self._published(lambda c: reads.replay(c, wanted, now=now))

    def lowest_unread(self, agents: Sequence[AgentName]) -> Seq | None:
        """The oldest unread delivery over these agents."""
        return self._published(lambda c: reads.lowest_unread(c, agents))

    def archived_seq(self, agents: Sequence[AgentName]) -> Seq:
        """The newest archived delivery over these agents."""
        return self._readers.run(lambda c: reads.archived_seq(c, agents))

    def history(self, wanted: HistorySlice) -> list[tuple[Message, list[Delivery]]]:
        """A page of the past."""
        return self._readers.run(lambda c: snapshot(c, lambda same: history.page(same, wanted)))

    def message(self, message_id: MessageId) -> tuple[Message, list[Delivery]] | None:
        """One message with all its deliveries."""
        return self._readers.run(lambda c: snapshot(c, lambda s: reads.message(s, message_id)))

    def task(self, task_id: MessageId) -> Task | None:
        """A task by its id."""
        return self._published(lambda c: tasks.one(c, task_id))

    def newest_task(self, owner: AgentName, agent: AgentName, *, context: str) -> Task | None:
        """The newest task of a context that its owner named."""
        return self._published(lambda c: tasks.newest(c, owner, agent, context))

    def tasks(self, wanted: TaskSlice) -> Tasks:
        """A page of tasks, and how many there are."""
        return self._published(lambda c: snapshot(c, lambda same: tasks.page(same, wanted)))

    def task_thread(self, of: Task, *, limit: int) -> TaskThread:
        """What was written in a task's thread since its message."""
        return self._published(
            lambda c: snapshot(c, lambda same: tasks.thread(same, of, limit=limit))
        )

    def _published(self, work: Callable[[NativeConnection], T]) -> T:
        """Read from a server that knows all that this hub has published.

        A stream that begins goes on from there: what a standby had not heard of would be missing.
        """
        told = self.cluster.publisher.told

        def read(connection: NativeConnection) -> T:
            if elsewhere.position(connection) < told:
                connection.drop()  # the next one may lead to the primary
                raise errors.NoPrimaryError
            return work(connection)

        return self._readers.run(read)

    def oldest_unread(self) -> dict[AgentName, int]:
        """When each agent's oldest unread message was created."""
        return self._readers.run(vitals.oldest_unread)

    def last_wakes(self) -> dict[AgentName, int]:
        """When each agent's gateway last accepted a wake."""
        return self._readers.run(vitals.last_wakes)

    def ages(self) -> Ages:
        """Since when tokens are in rotation, and how old archive and roster are."""
        return self._readers.run(lambda c: snapshot(c, vitals.ages))

    def counts(self) -> dict[str, int]:
        """Sizes: see `vitals.counts`; commits and commands since the start."""
        return {
            **self._readers.run(vitals.counts),
            "wal_bytes": 0,
            "commits": self._writer.batches,
            "commands": self._writer.commands,
        }

    def writing(self) -> str:
        """Whether writes can be done."""
        trouble = self._writer.trouble
        return "ok" if trouble is None else f"the database takes no writes: {trouble}"

    def histograms(self) -> dict[str, Histogram]:
        """What the writer measured."""
        return {
            "batch_commands": self._writer.batch_sizes,
            "commit_s": self._writer.commit_times,
            "transaction_s": self._writer.transaction_times,
        }

    def replication(self) -> Replication:
        """The database's servers."""
        return self._readers.run(replication.look)

    def facts(self) -> dict[str, object]:
        """What the database runs with, read back from it at start."""
        return dict(self._facts)
