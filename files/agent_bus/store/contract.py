"""What the bus wants of a store; `sqlite/` is the one that keeps it.

Every writing call answers only after its commit is durable (fsynced) and after `listener` has
been told, in commit order: fan-out therefore can never be ahead of the disk. All calls block the
calling greenlet, never the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.latency import Histogram
    from agent_bus.core.model import (
        Acked,
        Agent,
        AgentName,
        Ages,
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
    from agent_bus.core.slices import HistorySlice, InboxSlice, ReplaySlice, SweepBounds
    from agent_bus.store.sqlite.desk import Desk


class Listener(Protocol):
    """Is told of each commit, in commit order, in the loop's thread; must not block."""

    def on_sent(self, sent: Sent) -> None:
        """A message with its deliveries is durable."""

    def on_acked(self, acked: Acked) -> None:
        """Deliveries were read."""

    def on_mailboxes(self, mailboxes: Sequence[Mailbox]) -> None:
        """Counters changed for another reason: fetched, expired."""

    def on_roster(self, roster: Roster, agents: Sequence[Agent]) -> None:
        """The registry changed; what it holds now, retired agents included."""


class Store(Protocol):
    """Durable messages, deliveries and the roster."""

    epoch: str
    desk: Desk
    """What only the operator's page asks: sessions, audit, search, overviews."""

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of each commit from now on; once, before the first write."""

    def send(self, draft: Draft, *, hop_limit: int) -> Sent:
        """Store a message with one delivery a recipient.

        Raises:
            errors.UnknownMessageError: `reply_to` is not known, or not the sender's to see.
            errors.ThreadBudgetError: the thread is past `hop_limit`.
            errors.IdempotencyConflictError: the key was used with another payload.
            errors.DiskFullError: nothing was stored.
            errors.CommitUnknownError: the disk failed during the commit.
        """

    def replay_of(self, sender: AgentName, key: str) -> bool:
        """Whether this idempotency key has an answer already."""

    def ack_ids(self, agent: AgentName, ids: Sequence[MessageId]) -> Acked:
        """Mark these messages as read by `agent`; repeating it is harmless."""

    def ack_up_to(self, agent: AgentName, last: MessageId) -> Acked:
        """Mark all *fetched* deliveries of `agent` up to the one of `last` as read."""

    def fetch(self, agent: AgentName, seqs: Sequence[Seq]) -> Fetched:
        """Stamp a page as shown to its agent; answers what stood there before."""

    def stamp(self, stamps: Sequence[Stamp]) -> None:
        """Record hops; returns at once, durable within about a second."""

    def put_roster(self, roster: Roster, *, force: bool, dry_run: bool) -> RosterChange:
        """Make the registry match the inventory.

        Raises:
            errors.RosterShrinksError: more than 2 and more than 20 % would retire, no `force`.
        """

    def touch_agents(self, seen: dict[AgentName, int]) -> None:
        """Keep when agents were last seen (ms), lazily."""

    def sweep(self, within: SweepBounds) -> int:
        """Expire, archive, drop and forget at most `limit` each; answers how many in all."""

    def next_expiry(self) -> int | None:
        """When the next open message expires (steady ms); perhaps in the past, None for none."""

    def roster(self) -> tuple[Roster, list[Agent]]:
        """The registry as stored, with retired agents in the list."""

    def mailboxes(self) -> list[Mailbox]:
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

    def oldest_unread(self) -> dict[AgentName, int]:
        """When the oldest unread message of each agent was created (ms)."""

    def ages(self) -> Ages:
        """Since when tokens are in rotation, of what day archive and registry are."""

    def counts(self) -> dict[str, int]:
        """Rows and bytes: message, delivery, archive_message, database_bytes, wal_bytes, ..."""

    def writing(self) -> str:
        """`ok`, or why nothing can be written now; never blocks."""

    def histograms(self) -> dict[str, Histogram]:
        """Distributions since the start: batch_commands, transaction_s, commit_s (the fsync)."""

    def facts(self) -> dict[str, object]:
        """What the database runs with: journal_mode, synchronous, auto_vacuum, versions."""

    def close(self) -> None:
        """Finish what waits and close the file."""
