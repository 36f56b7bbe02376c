"""`GET /api/stream`: server-sent events from the stored backlog to live, without a gap.

The stream joins the broker first (control events queue from then on), then reads deliveries from
the store up to the head, looks at the head again, and goes live only when nothing new came in
between: no delivery falls between the two, none comes twice, and the database is never polled.
"""

from __future__ import annotations

import contextlib
import errno
import random
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_bus.api.models import requests
from agent_bus.bus.broker import WRITE_BYTES, Stream
from agent_bus.core import errors, reconnect, sse
from agent_bus.core.slices import ReplaySlice
from agent_bus.http.call import Answer, Call

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

    from agent_bus.bus.auth import Principal
    from agent_bus.bus.broker import Broker, Entry
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.fanout import Fanout
    from agent_bus.bus.hops import Hops
    from agent_bus.bus.presence import Presence
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import AgentName, Delivery
    from agent_bus.runtime import greenlets
    from agent_bus.settings import Settings
    from agent_bus.store.contract import Store

REPLAY_PAGE: Final = 50
"""Deliveries read from the store at once while catching up: about 1 ms of a reader's time, and at
most 3 MB that a peer which stops in the middle of its backlog keeps in memory."""
SEQ: Final = re.compile(r"[0-9]{1,18}")
"""A seq in a cursor; SQLite's integers end at 19 digits."""
GONE: Final = "gone"
"""Why a stream ended whose peer hung up; no `bye` says it."""
HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class StreamParts:
    """The parts of the hub that streams are made of."""

    store: Store
    broker: Broker
    directory: Directory
    presence: Presence
    counters: Counters
    fanout: Fanout
    hops: Hops
    clock: Clock


class Streams:
    """Opens streams.

    Args:
        parts: what streams read and tell.
        version: the running release, told in `hello`.
        hang_ups: tells of peers that are gone.
    """

    def __init__(
        self, *, parts: StreamParts, settings: Settings, version: str, hang_ups: greenlets.HangUps
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._version = version
        self._hang_ups = hang_ups

    def open(self, call: Call) -> Answer:
        """Subscribe to the token's agents.

        Raises:
            errors.ForbiddenError: `agents` names another node's agent, or `role=watcher` comes
                with the admin token.
            errors.TooManyStreamsError: over a limit.
        """
        query = call.parse_query(requests.StreamQuery)
        only = self._subset(call.principal, query.agents)
        is_watcher = query.role == "watcher"
        if is_watcher and call.principal.is_admin:
            raise errors.ForbiddenError("The admin token has no node to watch.", field="role")
        stream = Stream(
            node=call.principal.node,
            only=only,
            is_watcher=is_watcher,
            wants_receipts=query.receipts,
            token_sha256=call.principal.sha256,
            queue_limit=self._settings.stream_queue_events,
        )
        cursor = call.headers.get("last-event-id") or query.last_event_id
        subscription = Subscription(
            self._parts,
            stream,
            settings=self._settings,
            version=self._version,
            cursor=cursor,
            hang_ups=self._hang_ups,
        )
        try:
            self._parts.broker.admit(stream)
        except errors.NotReadyError:
            return Answer(200, headers=HEADERS, frames=[subscription.turn_away()])
        bound_writes(call.socket, self._settings.write_timeout_s)
        stream.socket = call.socket
        if stream.is_watcher and stream.node is not None:
            self._parts.presence.opened(stream.node, stream, subscription.agents())
        subscription.watch_peer()
        return Answer(200, headers=HEADERS, frames=subscription)

    def _subset(self, principal: Principal, names: str | None) -> frozenset[AgentName] | None:
        if names is None:
            return None
        own = self._parts.directory.agents_of(principal.node)
        chosen = [self._parts.directory.require(n, field="agents") for n in names.split(",")]
        foreign = [name for name in chosen if name not in own]
        if foreign:
            raise errors.ForbiddenError(
                f"This token speaks for {', '.join(own) or 'no agent'}, not for "
                f"{', '.join(foreign)}.",
                field="agents",
            )
        return frozenset(chosen)


class Subscription:
    """One stream's frames, as an iterable that the server closes when the peer is gone."""

    def __init__(
        self,
        parts: StreamParts,
        stream: Stream,
        *,
        settings: Settings,
        version: str,
        cursor: str | None,
        hang_ups: greenlets.HangUps | None = None,
    ) -> None:
        self._parts = parts
        self._stream = stream
        self._settings = settings
        self._version = version
        self._cursor = cursor
        self._hang_ups = hang_ups

    def agents(self) -> tuple[AgentName, ...]:
        """The agents carried now: the roster decides, at every moment."""
        own = self._parts.directory.agents_of(self._stream.node)
        return tuple(agent for agent in own if self._stream.carries(agent))

    @property
    def _fleet_count(self) -> int:
        """How many streams would come back after a restart; not only those that are back yet."""
        return max(self._parts.broker.reconnecting_count, len(self._parts.directory.roster.tokens))

    def close(self) -> None:
        """Leave the broker and give the lease back; harmless when repeated.

        A watcher whose stream has lived its time keeps the lease: it comes back as `bye` asks it
        to, within two seconds, and a send meanwhile reaches it. If not, the lease lapses.
        """
        if self._hang_ups is not None and self._stream.socket is not None:
            self._hang_ups.forget(self._stream.socket)
        self._parts.broker.leave(self._stream)
        if self._stream.end_reason == "lifetime":
            return
        if self._stream.is_watcher and self._stream.node is not None:
            self._parts.presence.closed(self._stream.node, self._stream)

    def watch_peer(self) -> None:
        """End with the peer's side of the connection, from now on.

        A watcher that is stopped or killed holds its lease no longer, and a send does not say that
        it is being woken. A network that is cut tells nothing: then the lease lapses.
        """
        if self._hang_ups is not None and self._stream.socket is not None:
            self._hang_ups.watch(self._stream.socket, self._peer_is_gone)

    def _peer_is_gone(self) -> None:
        self._stream.end(GONE)
        self.close()  # the stream's greenlet may be in the middle of a read from the store

    def __iter__(self) -> Iterator[bytes]:
        """All frames, from hello to bye.

        Raises:
            BrokenPipeError: the peer has hung up; nobody is there to be told bye.
        """
        try:
            yield from self._opening()
            yield from self._live()
        finally:
            self.close()
        if self._stream.end_reason == GONE:
            raise BrokenPipeError(errno.EPIPE, "The peer has hung up")
        yield self._bye(self._stream.end_reason or "lifetime")
        if self._stream.socket is not None:
            with contextlib.suppress(OSError):
                self._stream.socket.settimeout(None)  # the connection may serve other requests

    def turn_away(self) -> bytes:
        """All that a stream of a hub that is stopping carries.

        A refusal would be the end for good: `EventSource` gives up at any answer but 200.
        """
        position, _ = self._resume(self.agents())
        place = "" if position is None else f"{self._parts.store.epoch}-{position}"
        return self._bye("shutdown", resume_id=place)

    def _bye(self, reason: str, *, resume_id: str = "") -> bytes:
        retry_ms = reconnect.bye_retry_ms(
            self._settings.retry_ms,
            self._fleet_count,
            draw=random.random(),  # noqa: S311 - jitter
        )
        return sse.bye(reason, retry_ms=retry_ms, resume_id=resume_id)

    def _opening(self) -> Iterator[bytes]:
        """Hello, perhaps reset, then the backlog."""
        store = self._parts.store
        agents = self.agents()
        head = (
            self._parts.counters.head
        )  # before the store is asked: what is committed meanwhile comes after
        position, reset_reason = self._resume(agents)
        unread_only = position is None
        if position is None:
            lowest = store.lowest_unread(agents)
            position = head if lowest is None else lowest - 1
        self._stream.is_greeted = True  # counters that change from here on are queued behind it
        yield sse.hello(
            {
                "epoch": store.epoch,
                "head": self._parts.counters.head,
                "keepalive_s": self._settings.keepalive_s,
                "agents": agents,
                "mailboxes": [self._parts.fanout.mailbox_fields(agent) for agent in agents],
                "version": self._version,
                "reconnect_cap_s": reconnect.cap_s(self._fleet_count),
            },
            retry_ms=self._settings.retry_ms,
            resume_id=f"{store.epoch}-{position}",
        )
        if reset_reason is not None:
            yield sse.control(
                "reset",
                {"reason": reset_reason, "oldest": position, "head": self._parts.counters.head},
            )
        yield from self._backlog(position, unread_only=unread_only)

    def _resume(self, agents: tuple[AgentName, ...]) -> tuple[int | None, str | None]:
        """(position or None for the unread backlog, reason of a reset or None)."""
        if self._cursor is None:
            return None, None
        epoch, _, number = self._cursor.rpartition("-")
        if epoch != self._parts.store.epoch or not SEQ.fullmatch(number):
            return None, "epoch"
        position = int(number)
        if position > self._parts.counters.head:
            return None, "ahead"
        if position < self._parts.store.archived_seq(agents):
            return None, "archived"
        return position, None

    def _backlog(self, position: int, *, unread_only: bool) -> Iterator[bytes]:
        while not self._stream.has_ended():
            head = self._parts.counters.head
            wanted = ReplaySlice(
                self.agents(), after=position, until=head, unread=unread_only, limit=REPLAY_PAGE
            )
            page = self._parts.store.replay(wanted)
            waiting = deque(page)
            while waiting:
                if self._stream.has_ended():
                    return
                yield from self._written(self._next_frames(waiting))
                position = page[-1 - len(waiting)].seq
            if len(page) < REPLAY_PAGE:
                position = head
                if head == self._parts.counters.head:  # nothing came meanwhile: from here on live
                    self._stream.is_live = True
                    return

    def _next_frames(self, waiting: deque[Delivery]) -> list[Entry]:
        """Frames for one write, made of stored deliveries that are then no longer waiting."""
        entries: list[Entry] = []
        size = 0
        while waiting and size < WRITE_BYTES:
            entry = self._parts.fanout.entry_of(waiting.popleft())
            size += len(entry.frame)
            entries.append(entry)
        return entries

    def _written(self, entries: Sequence[Entry]) -> Iterator[bytes]:
        """The frames that this stream may still carry, as one write; noted once it is done.

        An agent may move while its mail waits here: whoever has the token of its former node
        has no right to it any more.
        """
        own = self.agents()
        allowed = [e for e in entries if e.delivery is None or e.delivery.agent in own]
        if allowed:
            yield b"".join([entry.frame for entry in allowed])
            self._parts.hops.note_pushed(allowed)

    def _live(self) -> Iterator[bytes]:
        clock = self._parts.clock
        lifetime_s = self._settings.stream_lifetime_s * random.uniform(0.8, 1.2)  # noqa: S311
        deadline = clock.monotonic() + lifetime_s
        while True:
            left_s = deadline - clock.monotonic()
            if left_s <= 0:
                self._stream.end("lifetime")
            entries = self._stream.take(max(0.0, min(self._settings.keepalive_s, left_s)))
            if entries:
                yield from self._written(entries)
            elif self._stream.end_reason is not None:
                return
            elif clock.monotonic() < deadline:
                yield sse.KEEPALIVE


def bound_writes(peer: socket.socket | None, timeout_s: float) -> None:
    """Let no write to a stream's peer take longer; a server without a socket has its own limits.

    A write that fits the kernel's buffer succeeds though nobody is there: that the worker sees to.
    """
    if peer is not None:
        peer.settimeout(timeout_s)
