"""The bus: joins store and broker, so that a commit always comes before its fan-out.

All methods run in the loop's thread, in the greenlet of the request; those that read or write the
store block that greenlet. The `on_...` methods are the store's listener: they run after each
commit, in commit order, and never block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from agent_bus.bus.broker import Broker, Entry
from agent_bus.core import errors, sse, wire
from agent_bus.core.model import (
    OPERATOR,
    AgentName,
    Draft,
    Mailbox,
    NodeName,
    Roster,
    RosterChange,
    Sent,
    Seq,
    Stamp,
)
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent_bus.bus.broker import Holder, Stream
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.presence import Presence, Status
    from agent_bus.core.clock import Clock
    from agent_bus.core.latency import Latency
    from agent_bus.core.limits import RateLimiter
    from agent_bus.core.model import Acked, Agent, Delivery, MessageId
    from agent_bus.store.contract import Store


class Observer(Protocol):
    """Sees what happens on the bus, in the loop, after each commit; must not block."""

    def on_sent(self, sent: Sent) -> None:
        """A message is durable."""

    def on_acked(self, acked: Acked) -> None:
        """Deliveries were read."""

    def on_hop(self, stamp: Stamp) -> None:
        """A watcher reported a hop."""


TIMED_HOPS: Final = frozenset({"received", "accepted"})
"""Hops that watchers report and that are timed from the commit on."""


class Bus:
    """What the API does, without HTTP.

    Build it, give it to the store as its listener, then call `attach` with the store.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        broker: Broker,
        directory: Directory,
        presence: Presence,
        limiter: RateLimiter,
        latency: Latency,
        hop_limit: int,
    ) -> None:
        self.clock = clock
        self.broker = broker
        self.directory = directory
        self.presence = presence
        self.latency = latency
        self.head = Seq(0)
        self.sent_count = 0
        self.delivered_count = 0
        self.acked_count = 0
        self.observers: list[Observer] = []
        self._limiter = limiter
        self._hop_limit = hop_limit
        self._mailboxes: dict[AgentName, Mailbox] = {}
        self._stamps: list[Stamp] = []
        self._store: Store | None = None

    def attach(self, store: Store) -> None:
        """Take the store and what it holds; the bus works from here on."""
        self._store = store
        self.head = store.head()
        self._mailboxes = {box.agent: box for box in store.mailboxes()}
        self.directory.replace(*store.roster())
        for name, agent in self.directory.agents.items():
            if agent.last_seen_at is not None:
                self.presence.remember(name, agent.last_seen_at)

    @property
    def store(self) -> Store:
        """The attached store.

        Raises:
            errors.NotReadyError: it is not attached yet.
        """
        if self._store is None:
            raise errors.NotReadyError("The hub is still opening its database.")
        return self._store

    def mailbox(self, agent: AgentName) -> Mailbox:
        """An agent's counters, as of the last commit."""
        return self._mailboxes.get(agent, Mailbox(agent, 0, 0, Seq(0)))

    def mailbox_fields(self, agent: AgentName) -> dict[str, object]:
        """An agent's counters as watchers get them."""
        muted_until = self.presence.muted_until(agent)
        return wire.mailbox(self.mailbox(agent), muted_until=muted_until)

    def status(self, agent: AgentName) -> Status:
        """Whether an agent can be reached now."""
        known = self.directory.agents.get(agent)
        node = self.directory.node_of(agent)
        is_retired = known is not None and known.retired_at is not None
        return self.presence.status(agent, node, is_retired=is_retired)

    def send(self, draft: Draft) -> Sent:
        """Store and fan out; answers after the commit is durable.

        Raises:
            errors.RateLimitedError: the sender is over its rate; a replay of a key never is.
            errors.BusError: whatever `Store.send` raises.
        """
        self.presence.seen(draft.sender)
        wait_s = self._limiter.take(draft.sender)
        if wait_s > 0:
            key = draft.idempotency_key
            if key is None or not self.store.replay_of(draft.sender, key):
                raise errors.RateLimitedError(
                    draft.sender, per_s=self._limiter.per_s, retry_after_s=wait_s
                )
        sent = self.store.send(draft, hop_limit=self._hop_limit)
        if sent.replayed and wait_s == 0:
            self._limiter.give_back(draft.sender)
        return sent

    def inbox(
        self,
        agent: AgentName,
        *,
        unread: bool,
        rank: int | None,
        thread: str | None,
        after: tuple[int, int],
        limit: int,
        wait_s: float,
        holder: Holder,
        is_over: Callable[[], bool] = lambda: False,
    ) -> list[Delivery]:
        """A page of an inbox; waits up to `wait_s` for it not to be empty, or until `is_over`.

        Raises:
            errors.TooManyStreamsError: the `holder` of the long poll, or all, hold too many.
        """
        deadline = self.clock.monotonic() + wait_s
        while True:
            last_seq = self.mailbox(agent).last_seq
            page = self.store.inbox(
                agent, unread=unread, rank=rank, thread=thread, after=after, limit=limit
            )
            left_s = deadline - self.clock.monotonic()
            if page or left_s <= 0 or is_over():
                return page
            if self.mailbox(agent).last_seq != last_seq:
                continue  # it came between that look and this line
            if not self.broker.wait_for_inbox(
                agent, holder=holder, timeout_s=left_s, is_over=is_over
            ):
                return page

    def fetch(
        self, agent: AgentName, page: Sequence[Delivery]
    ) -> dict[Seq, tuple[int | None, int]]:
        """Stamp a page as shown to its own agent; answers what stood there before.

        A full disk does not keep an agent from reading: then the stamps stay as they were.
        """
        self.presence.seen(agent)
        if not page:
            return {}
        try:
            before = self.store.fetch(agent, [d.seq for d in page]).before
        except errors.DiskFullError:
            return {}
        now = self.clock.now_ms()
        for delivery in page:
            if before.get(delivery.seq, (None, 1))[1] == 0:
                fetched_ms = max(0, now - delivery.message.created_at)
                self.latency.observe("stored_to_fetched", fetched_ms)
        return before

    def ack(
        self, agent: AgentName, *, ids: Sequence[MessageId] | None, up_to: MessageId | None
    ) -> Acked:
        """Mark as read, by ids or everything shown up to one message."""
        self.presence.seen(agent)
        if up_to is not None:
            return self.store.ack_up_to(agent, up_to)
        return self.store.ack_ids(agent, ids or ())

    def put_roster(self, roster: Roster, *, force: bool, dry_run: bool) -> RosterChange:
        """Make the registry match the inventory and tell the streams that it concerns.

        Long polls that it concerns look again, whether they are over.
        """
        nodes_before = dict(self.directory.roster.agents)
        change = self.store.put_roster(roster, force=force, dry_run=dry_run)
        if change.changed and not dry_run:
            for stream in self.broker:
                # A token that went to another node, as when a host is renamed, opens that one's.
                valid = roster.tokens.get(stream.node, ()) if stream.node is not None else None
                if valid is not None and stream.token_sha256 not in valid:
                    stream.end("revoked")
            for agent in (*change.retired, *change.moved):
                self._publish_gone(agent, nodes_before.get(agent))
                self.broker.wake_inbox(agent)
            for node in change.tokens_changed:
                for agent in self.directory.agents_of(node):
                    self.broker.wake_inbox(agent)
            for agent in (*change.registered, *change.revived, *change.moved):
                self._publish_mailbox(self.mailbox(agent))
        return change

    def wake(self, agent: AgentName) -> NodeName:
        """Ask an agent's watcher to wake it again if it has unfetched mail; answers its node.

        Raises:
            errors.NoWatcherError: the agent has no node, or its node's watcher is not connected.
        """
        node = self.directory.node_of(agent)
        watcher = None if node is None else self.broker.watcher_of(node)
        if node is None or watcher is None:
            raise errors.NoWatcherError(agent, node)
        watcher.put(Entry(sse.control("wake", {"agents": [agent]})))
        return node

    def mute(self, agent: AgentName, *, for_s: float) -> None:
        """Ask watchers not to wake an agent for a while; its mail goes on all the same."""
        self.presence.mute(agent, for_s=for_s)
        self._publish_mailbox(self.mailbox(agent))
        if for_s:
            greenlets.spawn(self._publish_after, agent, for_s)

    def note_pushed(self, entries: Iterable[Entry]) -> None:
        """These frames were handed to the kernel, in one write."""
        now, at = self.clock.monotonic(), self.clock.now_ms()
        for _, delivery, committed in entries:
            if delivery is None:
                continue
            self.delivered_count += 1
            if committed:
                self.latency.observe("stored_to_pushed", (now - committed) * 1000)
            if delivery.pushed_at is None:
                self._stamps.append(Stamp("pushed", delivery.agent, delivery.seq, at))

    def note_hop(self, stamp: Stamp) -> None:
        """A watcher reported a hop; it is kept within a second."""
        if stamp.kind in TIMED_HOPS:
            ago_s = max(0, self.clock.now_ms() - stamp.at) / 1000
            at = self.clock.monotonic() - ago_s
            self.latency.reached(f"stored_to_{stamp.kind}", stamp.agent, stamp.seq, at)
        self._stamps.append(stamp)
        for observer in self.observers:
            observer.on_hop(stamp)

    def flush_stamps(self) -> None:
        """Hand gathered hops and signs of life to the store; called twice a second."""
        stamps, self._stamps = self._stamps, []
        if stamps:
            self.store.stamp(stamps)

    def on_sent(self, sent: Sent) -> None:
        """Fan a stored message out; nothing to do for a replay."""
        if sent.replayed:
            return
        self.sent_count += 1
        self.head = sent.deliveries[-1].seq
        committed = self.clock.monotonic()
        for delivery in sent.deliveries:
            self.latency.stored(delivery.agent, delivery.seq, committed)
            self._publish(delivery, committed)
        self.on_mailboxes(sent.mailboxes)
        for observer in self.observers:
            observer.on_sent(sent)

    def on_acked(self, acked: Acked) -> None:
        """Tell senders who asked for receipts, and watchers the new counters."""
        self.acked_count += len(acked.acked)
        for receipt in acked.receipts:
            self._publish_receipt(receipt)
            read_ms = self.clock.now_ms() - receipt.message.created_at
            self.latency.observe("stored_to_read", max(0, read_ms))
        self.on_mailboxes(acked.mailboxes)
        for observer in self.observers:
            observer.on_acked(acked)

    def on_mailboxes(self, mailboxes: Sequence[Mailbox]) -> None:
        """Keep and publish new counters."""
        for box in mailboxes:
            self._mailboxes[box.agent] = box
            self._publish_mailbox(box)

    def on_roster(self, roster: Roster, agents: Sequence[Agent]) -> None:
        """Take the registry as it now is."""
        self.directory.replace(roster, agents)

    def entry_of(self, delivery: Delivery, *, committed: float = 0.0) -> Entry:
        """A delivery as a frame; `committed` is 0 for one that was read from the store."""
        frame = sse.message(
            event_id=f"{self.store.epoch}-{delivery.seq}", json_line=wire.event_line(delivery)
        )
        return Entry(frame, delivery, committed)

    def owner_of(self, agent: AgentName) -> NodeName | None:
        """The node whose streams carry this agent's mail now; None for the operator.

        Raises:
            LookupError: nobody's, because the agent is retired or unknown.
        """
        node = self.directory.node_of(agent)
        if node is None and agent != OPERATOR:
            raise LookupError(agent)
        return node

    def _publish_after(self, agent: AgentName, delay_s: float) -> None:
        """The end of a mute is told as it happens: watchers need no clock like the hub's."""
        greenlets.sleep(delay_s + 0.01)
        self._publish_mailbox(self.mailbox(agent))

    def _publish(self, delivery: Delivery, committed: float) -> None:
        self.broker.wake_inbox(delivery.agent)
        try:
            node = self.owner_of(delivery.agent)
        except LookupError:
            return
        entry: Entry | None = None
        for stream in self.broker.streams_of(node):
            if stream.is_live and stream.carries(delivery.agent):
                entry = entry or self.entry_of(delivery, committed=committed)
                stream.put(entry)

    def _publish_gone(self, agent: AgentName, node: NodeName | None) -> None:
        """Tell the watcher of its former node that an agent's mail is no longer its concern."""
        watchers = self._greeted_watchers(agent, node)
        if watchers:
            nothing = wire.mailbox(Mailbox(agent, 0, 0, Seq(0)), muted_until=None)
            _put(watchers, sse.control("mailbox", nothing))

    def _publish_mailbox(self, box: Mailbox) -> None:
        """Tell the watcher of its node; a frame is made only when somebody will have it."""
        try:
            watchers = self._greeted_watchers(box.agent, self.owner_of(box.agent))
        except LookupError:
            return
        if watchers:
            muted_until = self.presence.muted_until(box.agent)
            _put(watchers, sse.control("mailbox", wire.mailbox(box, muted_until=muted_until)))

    def _publish_receipt(self, receipt: Delivery) -> None:
        """Tell the sender's streams that asked for receipts."""
        sender = receipt.message.sender
        try:
            streams = self.broker.streams_of(self.owner_of(sender))
        except LookupError:
            return
        wanting = [s for s in streams if s.wants_receipts and s.carries(sender)]
        if wanting:
            _put(wanting, sse.control("receipt", wire.receipt(receipt)))

    def _greeted_watchers(self, agent: AgentName, node: NodeName | None) -> list[Stream]:
        return [
            stream
            for stream in self.broker.streams_of(node)
            if stream.is_watcher and stream.is_greeted and stream.carries(agent)
        ]


def _put(streams: Iterable[Stream], frame: bytes) -> None:
    for stream in streams:
        stream.put(Entry(frame))
