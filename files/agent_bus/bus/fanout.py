"""Fan-out: what a commit means for the open streams. It is the store's listener.

The `on_...` methods run in the loop's thread after each commit, in commit order, and never block.
So no stream is ever ahead of the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent_bus.bus.broker import Entry
from agent_bus.core import sse, states, wire
from agent_bus.core.model import MailboxCounts, Seq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent_bus.bus.broker import Broker, Stream
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.guards.wake_gate import WakeGate
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.hold import Hold
    from agent_bus.core.latency import Latency
    from agent_bus.core.model import (
        Acked,
        Agent,
        AgentName,
        Delivery,
        NodeName,
        Roster,
        Sent,
        Stamp,
    )


class Observer(Protocol):
    """Sees what happens on the bus, in the loop, after each commit; must not block."""

    @property
    def shows_all(self) -> bool:
        """Whether it shows messages and receipts to somebody now."""

    def on_sent(self, sent: Sent) -> None:
        """A message is durable."""

    def on_passed(self, expires_at: int | None) -> None:
        """Another hub stored a message that nothing here shows."""

    def on_acked(self, acked: Acked) -> None:
        """Deliveries were read."""

    def on_report(self, stamp: Stamp) -> None:
        """A watcher reported what became of a wake."""


class Fanout:
    """Publishes what was committed, and keeps the counters.

    Args:
        epoch: the store's, a part of every event's id.
        gate: what wakes nobody now; it publishes counters through this.
        decide: hears of each message before any stream gets it.
        observers: each hears of a commit after the streams.
    """

    def __init__(
        self,
        *,
        epoch: str,
        broker: Broker,
        directory: Directory,
        gate: WakeGate,
        decide: Callable[[Sent, float], object],
        counters: Counters,
        latency: Latency,
        observers: Sequence[Observer],
        clock: Clock,
    ) -> None:
        self._epoch = epoch
        self._broker = broker
        self._directory = directory
        self._gate = gate
        self._decide = decide
        gate.publish = self.publish_mailbox
        self._counters = counters
        self._latency = latency
        self._observers = observers
        self._clock = clock

    def on_sent(self, sent: Sent) -> None:
        """Fan a stored message out; nothing to do for a replay."""
        if sent.replayed:
            return
        self._counters.sent_count += 1
        self._fan_out(sent)

    def on_heard(self, sent: Sent) -> None:
        """Fan a message out that another hub stored."""
        self._counters.heard_count += 1
        self._fan_out(sent)

    def _fan_out(self, sent: Sent) -> None:
        self._counters.head = sent.deliveries[-1].seq
        committed = self._clock.monotonic()
        self._decide(sent, committed)
        line: wire.EventLine | None = None
        for delivery in sent.deliveries:
            self._latency.stored(delivery.agent, delivery.seq, committed)
            self._broker.wake_inbox(delivery.agent)
            streams = self._live_streams(delivery.agent)
            if streams:
                line = line or wire.EventLine(sent.message)
                is_held = self._gate.withholds and self._gate.is_held(delivery)
                entry = self._entry(delivery, line.to(delivery, is_held=is_held), committed)
                for stream in streams:
                    stream.put(entry)
        self.on_mailboxes(sent.mailboxes)
        for observer in self._observers:
            observer.on_sent(sent)

    def on_acked(self, acked: Acked) -> None:
        """Send receipts to the streams that asked for them, and new counters to watchers."""
        self._counters.acked_count += len(acked.acked)
        for receipt in acked.receipts:
            read_ms = self._clock.now_ms() - receipt.message.created_at
            self._latency.hop(states.READ, max(0, read_ms))
        self.fan_receipts_out(acked)

    def fan_receipts_out(self, acked: Acked) -> None:
        """Send receipts and counters, at whichever hub the deliveries were read."""
        for receipt in acked.receipts:
            self._publish_receipt(receipt)
        self.on_mailboxes(acked.mailboxes)
        for observer in self._observers:
            observer.on_acked(acked)

    def pass_by(self, first_seq: int, agents: Sequence[AgentName], expires_at: int | None) -> None:
        """Keep count of a message of another hub that no stream here carries."""
        self._counters.heard_count += 1
        self._counters.head = Seq(first_seq + len(agents) - 1)
        for agent in agents:
            self._broker.wake_inbox(agent)
        for observer in self._observers:
            observer.on_passed(expires_at)

    def shows(self, agents: Sequence[AgentName]) -> bool:
        """Whether a message to these agents is shown by anything here: a stream, an open page."""
        if any(observer.shows_all for observer in self._observers):
            return True
        for agent in agents:
            try:
                streams = self._broker.streams_of(self._directory.owner_of(agent))
            except LookupError:
                continue
            if any(stream.carries(agent) for stream in streams):
                return True
        return False

    def shows_receipts(self) -> bool:
        """Whether anything here shows who has read what."""
        return any(observer.shows_all for observer in self._observers) or any(
            stream.wants_receipts for stream in self._broker
        )

    def on_mailboxes(self, mailboxes: Sequence[MailboxCounts]) -> None:
        """Keep and publish new counters."""
        for box in mailboxes:
            self._counters.take(box)
            self._gate.counted(box)
            self._publish_mailbox(box)

    def on_roster(self, roster: Roster, agents: Sequence[Agent]) -> None:
        """Give the directory the stored roster, and tell the streams of the agents that change.

        Streams whose token no longer counts end. Long polls of the agents that it concerns check
        again whether they still may wait.
        """
        before = self._directory.roster
        self._directory.replace(roster, agents)
        for stream in self._broker:
            _end_without_right(stream, roster)
        for agent, node in before.agents.items():
            if roster.agents.get(agent) != node:
                self.publish_gone(agent, node)
                self._broker.wake_inbox(agent)
        for node in before.tokens.keys() | roster.tokens.keys():
            if set(before.tokens.get(node, ())) != set(roster.tokens.get(node, ())):
                for agent in self._directory.agents_of(node):
                    self._broker.wake_inbox(agent)
        for agent in _with_other_tokens(before, roster):
            self._broker.wake_inbox(agent)
        for agent, node in roster.agents.items():
            if before.agents.get(agent) != node:
                self.publish_mailbox(agent)

    def entry_of(self, delivery: Delivery, *, committed: float = 0.0) -> Entry:
        """A delivery as a frame; `committed` is 0 for one that was read from the store."""
        is_held = self._gate.is_held(delivery)
        return self._entry(delivery, wire.event_line(delivery, is_held=is_held), committed)

    def as_watcher_sees(self, entry: Entry) -> Entry:
        """A frame for who wakes an agent but does not speak for it: only that there is mail."""
        delivery = entry.delivery
        if delivery is None or delivery.agent not in self._directory.private:
            return entry
        line = wire.withheld_line(delivery, is_held=self._gate.is_held(delivery))
        return self._entry(delivery, line, entry.committed)

    def mailbox_fields(self, agent: AgentName) -> dict[str, object]:
        """An agent's counters as watchers get them."""
        box = self._gate.shown(self._counters.mailbox(agent))
        return wire.mailbox(box, self._gate.hold_of(agent))

    def publish_mailbox(self, agent: AgentName) -> None:
        """Tell the node's watcher an agent's counters, and whether its wakes are held."""
        self._publish_mailbox(self._counters.mailbox(agent))

    def publish_gone(self, agent: AgentName, node: NodeName | None) -> None:
        """Tell the watcher of a former node that it need not wake an agent any more."""
        watchers = self._greeted_watchers(agent, node)
        if watchers:
            _put(watchers, _mailbox(MailboxCounts(agent, 0, 0, Seq(0)), None))

    def _entry(self, delivery: Delivery, json_line: str, committed: float) -> Entry:
        frame = sse.message(event_id=f"{self._epoch}-{delivery.seq}", json_line=json_line)
        return Entry(frame, delivery, committed)

    def _live_streams(self, agent: AgentName) -> list[Stream]:
        try:
            streams = self._broker.streams_of(self._directory.owner_of(agent))
        except LookupError:
            return []
        is_private = agent in self._directory.private
        return [s for s in streams if s.is_live and s.may_carry(agent, is_private=is_private)]

    def _publish_mailbox(self, box: MailboxCounts) -> None:
        """Tell the node's watcher; without one, no frame is made."""
        try:
            watchers = self._greeted_watchers(box.agent, self._directory.owner_of(box.agent))
        except LookupError:
            return
        if watchers:
            hold = self._gate.hold_of(box.agent)
            _put(watchers, _mailbox(self._gate.shown(box), hold))

    def _publish_receipt(self, receipt: Delivery) -> None:
        """Tell those of the sender's streams that asked for receipts."""
        sender = receipt.message.sender
        try:
            streams = self._broker.streams_of(self._directory.owner_of(sender))
        except LookupError:
            return
        is_private = sender in self._directory.private
        wanting = [
            s
            for s in streams
            if s.wants_receipts and s.carries(sender) and not (is_private and s.agent is None)
        ]
        if wanting:
            _put(wanting, sse.control("receipt", wire.receipt(receipt)))

    def _greeted_watchers(self, agent: AgentName, node: NodeName | None) -> list[Stream]:
        return [
            stream
            for stream in self._broker.streams_of(node)
            if stream.is_watcher and stream.is_greeted and stream.carries(agent)
        ]


def _end_without_right(stream: Stream, roster: Roster) -> None:
    """End a stream whose token does not count any more, or counts for another node."""
    node, agent = stream.node, stream.agent
    if node is None:
        return
    # A renamed host takes its token along: it opens the other node's streams then.
    valid = roster.tokens.get(node, ()) if agent is None else roster.agent_tokens.get(agent, ())
    if stream.token_sha256 not in valid:
        stream.end(states.REVOKED)
    elif agent is not None and roster.agents.get(agent) != node:
        stream.end(states.LIFETIME)  # it comes back as a stream of the other node


def _with_other_tokens(before: Roster, now: Roster) -> set[AgentName]:
    """Agents whose own tokens differ, or for whom their node's token begins or ceases to count."""
    earlier, later = before.agent_tokens, now.agent_tokens
    differing = {a for a in earlier.keys() | later.keys() if earlier.get(a) != later.get(a)}
    return differing | (before.node_too ^ now.node_too)


def _mailbox(of: MailboxCounts, hold: Hold | None) -> bytes:
    return sse.named("mailbox", json_line=wire.mailbox_line(of, hold))


def _put(streams: Iterable[Stream], frame: bytes) -> None:
    entry = Entry(frame)
    for stream in streams:
        stream.put(entry)
