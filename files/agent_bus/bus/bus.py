"""The use cases of the bus: send, inbox, fetch, ack, roster, wake.

All methods run in the loop's thread, in the greenlet of the request; those that read or write the
store block that greenlet. What a commit means for the streams is `fanout.py`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from agent_bus.bus.broker import Entry
from agent_bus.core import errors, sse, states
from agent_bus.core.task import Step
from agent_bus.runtime import greenlets
from agent_bus.runtime.greenlets import Waiter
from agent_bus.store.cluster import ALONE, WakeAsked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.bus.broker import Broker, Holder
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.presence import Presence
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.question import Part
    from agent_bus.core.latency import Latency
    from agent_bus.core.limits import RateLimiter
    from agent_bus.core.model import (
        Acked,
        AgentName,
        Delivery,
        Draft,
        MessageId,
        NodeName,
        Roster,
        RosterChange,
        Sent,
        Seq,
    )
    from agent_bus.core.slices import InboxSlice
    from agent_bus.store.cluster import Cluster
    from agent_bus.store.contract import Store


class Bus:
    """What the API does, without HTTP.

    Args:
        limiter: how many messages each sender may send.
        depth_limit: replies in a row that a thread of agents may have.
        cluster: the hubs of this bus.
    """

    def __init__(
        self,
        *,
        store: Store,
        broker: Broker,
        directory: Directory,
        presence: Presence,
        counters: Counters,
        latency: Latency,
        limiter: RateLimiter,
        clock: Clock,
        depth_limit: int,
        cluster: Cluster = ALONE,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._broker = broker
        self._directory = directory
        self._presence = presence
        self._counters = counters
        self._latency = latency
        self._limiter = limiter
        self._clock = clock
        self._hop_limit = depth_limit

    def send(self, draft: Draft, *, step: Step | Part | None = None) -> Sent:
        """Store a message; answers after the commit is durable.

        Args:
            draft: the message.
            step: what it is to a task, or to a question. One that cancels a task may go past the
                depth of a thread.

        Raises:
            task.UnknownTaskError, task.TaskEndedError: see `Store.send`.
            errors.RateLimitedError: the sender is over its rate; a replay of a key never is.
            errors.BusError: whatever `Store.send` raises.
        """
        waiter: Waiter[Sent] = Waiter()
        self.begin_send(draft, step=step, done=waiter.settle)
        return waiter.wait()

    def begin_send(
        self,
        draft: Draft,
        *,
        step: Step | Part | None = None,
        done: Callable[[Sent | Exception], object],
    ) -> None:
        """As `send`, without waiting for the commit: `done` takes what comes of it, in the loop.

        Raises:
            errors.RateLimitedError: as for `send`.
            greenlets.MustWaitError: this is the loop, and whether it is a replay is not known.
        """
        wait_s = self._take_rate(draft)
        is_cancel = isinstance(step, Step) and step.kind == "cancel"
        depth_limit = sys.maxsize if is_cancel else self._hop_limit
        if draft.idempotency_key is None:
            self._store.begin_send(draft, depth_limit=depth_limit, step=step, done=done)
            return

        def finish(found: Sent | Exception) -> None:
            if wait_s == 0 and not isinstance(found, Exception) and found.replayed:
                self._limiter.give_back(draft.sender)
            done(found)

        self._store.begin_send(draft, depth_limit=depth_limit, step=step, done=finish)

    def _take_rate(self, draft: Draft) -> float:
        """Let a send pass; answers 0, or for a replay that is over the rate by how much (s)."""
        self._presence.seen(draft.sender)
        wait_s = self._limiter.take(draft.sender)
        if wait_s > 0:
            key = draft.idempotency_key
            if key is not None:
                greenlets.require_greenlet()
            if key is None or not self._store.replay_of(draft.sender, key):
                raise errors.RateLimitedError(
                    draft.sender, per_s=self._limiter.per_s, retry_after_s=wait_s
                )
        return wait_s

    def inbox(
        self,
        wanted: InboxSlice,
        *,
        wait_s: float,
        holder: Holder,
        is_over: Callable[[], bool] = lambda: False,
    ) -> list[Delivery]:
        """A page of an inbox; waits up to `wait_s`, or until `is_over`, while the page is empty.

        Raises:
            errors.TooManyStreamsError: the long poll's `holder`, or all together, have too many.
        """
        agent = wanted.agent
        deadline = self._clock.monotonic() + wait_s
        while True:
            last_seq = self._counters.mailbox(agent).last_seq
            page = self._store.inbox(wanted)
            left_s = deadline - self._clock.monotonic()
            if page or left_s <= 0 or is_over():
                return page
            if self._counters.mailbox(agent).last_seq != last_seq:
                continue  # something came after the read began
            if not self._broker.wait_for_inbox(
                agent, holder=holder, timeout_s=left_s, is_over=is_over
            ):
                return page

    def fetch(
        self, agent: AgentName, page: Sequence[Delivery]
    ) -> dict[Seq, tuple[int | None, int]]:
        """Stamp a page as shown to its own agent; answers the stamps from before.

        A full disk does not keep an agent from reading: the stamps then stay as they were.
        """
        self._presence.seen(agent)
        if not page:
            return {}
        try:
            before = self._store.fetch(agent, [d.seq for d in page]).before
        except errors.DiskFullError:
            return {}
        now = self._clock.now_ms()
        for delivery in page:
            if before.get(delivery.seq, (None, 1))[1] == 0:
                fetched_ms = max(0, now - delivery.message.created_at)
                self._latency.hop(states.FETCHED, fetched_ms)
        return before

    def ack(
        self, agent: AgentName, *, ids: Sequence[MessageId] | None, up_to: MessageId | None
    ) -> Acked:
        """Mark messages as read: those of `ids`, or all that were shown up to `up_to`."""
        self._presence.seen(agent)
        if up_to is not None:
            return self._store.ack_up_to(agent, up_to)
        return self._store.ack_ids(agent, ids or ())

    def seen(self, agent: AgentName) -> None:
        """Note a sign of life: an agent has asked for something that is no mail."""
        self._presence.seen(agent)

    def put_roster(self, roster: Roster, *, force: bool, dry_run: bool) -> RosterChange:
        """Replace the roster; answers once every hub that lives goes by it."""
        change = self._store.put_roster(roster, force=force, dry_run=dry_run)
        if change.changed and not dry_run:
            self._cluster.settle()
        return change

    def wake(self, agent: AgentName) -> NodeName:
        """Ask an agent's watcher to wake it again if it has unfetched mail; answers its node.

        Raises:
            errors.NoWatcherError: the agent has no node, or its node's watcher is not connected.
        """
        node = self._directory.node_of(agent)
        if node is None:
            raise errors.NoWatcherError(agent, node)
        if not self.ask_to_wake(agent, node):
            if not self._presence.is_elsewhere(node):
                is_guest = self._directory.is_guest(node)
                raise errors.NoWatcherError(agent, node, is_guest=is_guest)
            self._cluster.assure(WakeAsked(agent, node))
        return node

    def ask_to_wake(self, agent: AgentName, node: NodeName) -> bool:
        """Ask the watcher whose stream is at this hub; False when there is none."""
        watcher = self._broker.watcher_of(node)
        if watcher is None:
            return False
        watcher.put(Entry(sse.control("wake", {"agents": [agent]})))
        return True
