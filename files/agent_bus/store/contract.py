"""What a store must do, a protocol for each kind of reader; `sqlite/` implements them.

Every writing call answers only after its commit is durable (fsynced) and the listener was told of
it, in commit order: so fan-out is never ahead of the disk. Calls block the calling greenlet,
never the loop; `begin_send` blocks nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent_bus.core.guards.question import Part
    from agent_bus.core.latency import Histogram
    from agent_bus.core.model import (
        Acked,
        Agent,
        AgentName,
        Ages,
        AuditEntry,
        Backup,
        Crossing,
        Delivery,
        Draft,
        Fetched,
        Flows,
        MailboxCounts,
        Message,
        MessageId,
        Roster,
        RosterChange,
        SearchPage,
        Sent,
        Seq,
        Session,
        Stamp,
    )
    from agent_bus.core.slices import (
        HistorySlice,
        InboxSlice,
        ReplaySlice,
        SearchSlice,
        SweepBounds,
    )
    from agent_bus.core.task import Step, Task, Tasks, TaskSlice, TaskThread
    from agent_bus.store.cluster import Cluster
    from agent_bus.store.guards.storms import Storms
    from agent_bus.store.guards.wake_book import WakeBook
    from agent_bus.store.outgoing import Outgoing
    from agent_bus.store.pending import Pending


KEY_LIFETIME_MS: Final = 24 * 3600 * 1000
"""How long a repeated Idempotency-Key is answered with the first result."""
SHOWN_LATELY_MS: Final = 120_000
"""The command line's SHOWN_LATELY_S: a message that was shown within this time comes without its
body and keeps its stamp. If the stamp moved, an agent that looks more often would never see the
body again after the turn that saw it died. A stamp in the future was made before the clock was set
back; it moves."""
AUDIT_KEPT: Final = 100_000
"""Audit entries kept: ten weeks at one per minute, about 20 MB."""
FLOW_SEQS: Final = 100_000
"""How many of the newest deliveries the picture of who talks to whom counts."""
CROSSINGS: Final = 2_000
"""How many of the newest deliveries the hops of each host are measured over."""


@dataclass(frozen=True, slots=True)
class Standby:
    """A copy of the database; how far it is behind is None where the bus may not know.

    `replied_at` is when it sent its last reply (seconds, by its own clock).
    """

    name: str
    state: str
    is_sync: bool
    lag_bytes: int | None
    lag_s: float | None
    replied_at: float | None = None


@dataclass(frozen=True, slots=True)
class Replication:
    """The database's servers, as the one says that was asked; only a primary knows standbys.

    `needed` is how many standbys have to have a commit before it is acknowledged.
    """

    server: str
    is_primary: bool
    timeline: int
    needed: int
    standbys: tuple[Standby, ...]


class Listener(Protocol):
    """Hears of each commit, in commit order, in the loop's thread; must not block."""

    def on_sent(self, sent: Sent) -> None:
        """A message with its deliveries is durable."""

    def on_acked(self, acked: Acked) -> None:
        """Deliveries were read."""

    def on_mailboxes(self, mailboxes: Sequence[MailboxCounts]) -> None:
        """Counters changed for another reason: fetched, expired."""

    def on_roster(self, roster: Roster, agents: Sequence[Agent]) -> None:
        """The roster changed; what is stored now, with retired agents in the list."""


class Store(Protocol):
    """Durable messages, deliveries and the roster: what the bus and its API are made of."""

    @property
    def epoch(self) -> str:
        """The name of this history; another one after a restore."""

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of each commit from now on; once, before the first write."""

    def send(self, draft: Draft, *, depth_limit: int, step: Step | Part | None = None) -> Sent:
        """Store a message with one delivery per recipient; with a `step`, its task changes too.

        A part of a question asks it, or answers it if `reply_to` is one.

        A reply of its agent to its owner completes an open task of the thread. Of the messages
        that name a new context, sent at the same moment, one begins it and the others join it.

        Raises:
            task.UnknownTaskError: `step` names no task of the sender with the recipient.
            task.TaskEndedError: `step` names a task that has ended.
            errors.AlreadyAnsweredError, errors.QuestionExpiredError, errors.ForbiddenError,
                errors.UnknownChoiceError: see `question.accept`.
            errors.UnknownMessageError: `reply_to` is not known, or not the sender's to see.
            errors.ThreadBudgetError: the thread is past `depth_limit`.
            errors.IdempotencyConflictError: the key was used with another payload.
            errors.DiskFullError: nothing was stored.
            errors.CommitUnknownError: the disk failed during the commit.
            errors.NotReadyError: the store is closed.
        """

    def begin_send(
        self,
        draft: Draft,
        *,
        depth_limit: int,
        step: Step | Part | None = None,
        done: Callable[[Sent | Exception], object],
    ) -> None:
        """Queue what `send` does, and return at once; call it in the loop's thread.

        `done` takes what `send` would answer or raise. It is called exactly once, in the loop,
        after the listener was told of the whole batch; it must not block.
        """

    def replay_of(self, sender: AgentName, key: str) -> bool:
        """Whether this idempotency key has an answer already."""

    def ack_ids(self, agent: AgentName, ids: Sequence[MessageId]) -> Acked:
        """Mark these messages as read by `agent`; repeating it is harmless."""

    def ack_up_to(self, agent: AgentName, last: MessageId) -> Acked:
        """Mark all *fetched* deliveries of `agent` up to the one of `last` as read."""

    def fetch(self, agent: AgentName, seqs: Sequence[Seq]) -> Fetched:
        """Stamp a page as shown to its agent; answers the stamps from before."""

    def stamp(self, stamps: Sequence[Stamp]) -> None:
        """Record hops; returns at once, durable within about a second."""

    def put_roster(self, roster: Roster, *, force: bool, dry_run: bool) -> RosterChange:
        """Replace the stored roster.

        Raises:
            errors.RosterShrinksError: more than 2 and more than 20 % would retire, no `force`.
        """

    def touch_agents(self, seen: dict[AgentName, int]) -> None:
        """Keep when agents were last seen (ms), lazily."""

    def sweep(self, within: SweepBounds) -> int:
        """Expire, archive, drop and forget at most `limit` each; answers how many in all."""

    def next_expiry(self) -> int | None:
        """When the next open message expires (steady ms, may be in the past); None without one."""

    def roster(self) -> tuple[Roster, list[Agent]]:
        """The stored roster, and all agents: retired ones and the operator are in the list."""

    def mailboxes(self) -> list[MailboxCounts]:
        """Counters of all agents."""

    def head(self) -> Seq:
        """The newest seq ever given."""

    def inbox(self, wanted: InboxSlice) -> list[Delivery]:
        """A page of an inbox."""

    def replay(self, wanted: ReplaySlice) -> list[Delivery]:
        """The next deliveries of some agents."""

    def lowest_unread(self, agents: Sequence[AgentName]) -> Seq | None:
        """The oldest unread delivery's seq over these agents."""

    def archived_seq(self, agents: Sequence[AgentName]) -> Seq:
        """The newest archived delivery's seq over these agents; 0 when there is none."""

    def history(self, wanted: HistorySlice) -> list[tuple[Message, list[Delivery]]]:
        """A page of the past, each message with all its deliveries."""

    def message(self, message_id: MessageId) -> tuple[Message, list[Delivery]] | None:
        """One message with all its deliveries, archived or not."""

    def task(self, task_id: MessageId) -> Task | None:
        """A task by its id."""

    def newest_task(self, owner: AgentName, agent: AgentName, *, context: str) -> Task | None:
        """The newest task of a context that its owner named: see `Step.context_name`."""

    def tasks(self, wanted: TaskSlice) -> Tasks:
        """A page of tasks, and how many there are."""

    def task_thread(self, of: Task, *, limit: int) -> TaskThread:
        """A task's thread from its message on, `limit` live and `limit` archived ones."""


class Vitals(Protocol):
    """How the store is and what is in it: for metrics, alerts, readiness and the fleet's facts."""

    def writing(self) -> str:
        """`ok`, or why nothing can be written now; never blocks."""

    def oldest_unread(self) -> dict[AgentName, int]:
        """When the oldest unread message of each agent was created (ms)."""

    def last_wakes(self) -> dict[AgentName, int]:
        """When each agent's gateway last accepted a wake, as far as it is still known (ms)."""

    def ages(self) -> Ages:
        """Since when tokens are in rotation, and how old archive and roster are."""

    def counts(self) -> dict[str, int]:
        """Rows and bytes: head, unread, unfetched, database_bytes, wal_bytes, commits, ..."""

    def histograms(self) -> dict[str, Histogram]:
        """Distributions since the start: batch_commands, transaction_s, commit_s (the fsync)."""

    def replication(self) -> Replication | None:
        """The database's servers; None where it is a file."""

    def facts(self) -> dict[str, object]:
        """What the database runs with: journal_mode, synchronous, auto_vacuum, versions."""


class Records(Protocol):
    """What only the dashboard keeps and asks: sessions and audit, search and overviews.

    Every answer is bounded by a range of seqs or a number of rows, so that a page that somebody
    looks at can never slow the bus down.
    """

    def sessions(self, *, steady: int) -> list[Session]:
        """All sessions that have not expired at `steady` (ms)."""

    def keep_session(self, session: Session) -> None:
        """Keep a new session."""

    def drop_session(self, sha256: str, *, steady: int) -> None:
        """End a session, and forget those that have expired at `steady` (ms)."""

    def log(self, entry: AuditEntry) -> None:
        """Keep who did what."""

    def audit(self, *, limit: int) -> list[AuditEntry]:
        """What was done by hand, newest first."""

    def search(self, wanted: SearchSlice) -> SearchPage:
        """A page of what a search finds, newest first."""

    def flows(self, *, since: int) -> Flows:
        """How many deliveries each pair of agents had since a time, archived ones included."""

    def crossings(self, *, head: int) -> list[Crossing]:
        """When the newest deliveries up to `head` reached each hop, oldest first."""

    def crossings_of(self, agents: Sequence[AgentName]) -> list[Crossing]:
        """When the newest deliveries of some agents reached each hop, oldest first."""


class Backend(Store, Vitals, Protocol):
    """One implementation of all of this: what `app/` opens and the conformance suite tests."""

    @property
    def records(self) -> Records:
        """What the dashboard asks."""

    @property
    def outgoing(self) -> Outgoing:
        """What waits for webhooks."""

    @property
    def pending(self) -> Pending:
        """What waits for somebody: questions, and the ladder."""

    @property
    def wake_book(self) -> WakeBook:
        """Pauses, and how many wakes there were."""

    @property
    def storms(self) -> Storms:
        """What the storm guard keeps."""

    @property
    def cluster(self) -> Cluster:
        """The hubs on this database."""

    def write_backup(self, target: Path) -> Backup:
        """Copy the live database to `target`. Blocks its thread: call it in a native one.

        Raises:
            errors.DiskFullError: no room; nothing is left behind.
            errors.BackupFailedError: anything else; nothing is left behind.
        """

    def close(self) -> None:
        """Finish what waits and let go of the database."""
