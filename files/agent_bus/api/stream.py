"""`GET /api/stream`: deliveries and control events, from the stored backlog to live without a gap.

The stream joins the broker first (control events queue from then on), then reads deliveries from
the store up to the head, looks at the head again, and goes live only when nothing new came in
between: no delivery falls between the two, none comes twice, and the database is never polled.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_bus.bus import reconnect
from agent_bus.bus.broker import WRITE_BYTES, Stream
from agent_bus.core import errors, sse, states
from agent_bus.core.slices import ReplaySlice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent_bus.api.models.requests import StreamQuery
    from agent_bus.bus.auth import Authenticator, Principal
    from agent_bus.bus.broker import Entry
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.fanout import Fanout
    from agent_bus.bus.hops import Hops
    from agent_bus.bus.presence import Presence
    from agent_bus.core.model import AgentName, Delivery
    from agent_bus.core.states import ResetReason
    from agent_bus.http.call import Answer, Call
    from agent_bus.http.live import LiveStreams
    from agent_bus.store.cluster import Cluster
    from agent_bus.store.contract import Store

REPLAY_PAGE: Final = 50
"""Deliveries that are read from the store at once while catching up: about 1 ms of a reader's
time. A peer that stops in the middle of its backlog keeps at most 3 MB in memory."""
SEQ: Final = re.compile(r"[0-9]{1,18}")
"""A seq in a cursor; SQLite's integers end at 19 digits."""


@dataclass(frozen=True, slots=True)
class StreamParts:
    """The parts of the hub that nodes' streams are made of."""

    store: Store
    directory: Directory
    presence: Presence
    counters: Counters
    fanout: Fanout
    hops: Hops
    cluster: Cluster


class Streams:
    """Opens the streams of nodes.

    Args:
        parts: what streams read and tell.
        auth: knows whose streams a token may open.
        version: the running release, told in `hello`.
    """

    def __init__(
        self, *, parts: StreamParts, auth: Authenticator, live: LiveStreams, version: str
    ) -> None:
        self._parts = parts
        self._auth = auth
        self._live = live
        self._version = version

    def open(self, call: Call[StreamQuery]) -> Answer:
        """Subscribe to the token's agents.

        Raises:
            errors.ForbiddenError: `agents` names an agent that is not the token's, or
                `role=watcher` comes with another token than a node's.
            errors.TooManyStreamsError: over a limit.
        """
        query = call.query
        is_watcher = query.role == "watcher"
        principal = call.principal
        if is_watcher and principal.is_admin:
            raise errors.ForbiddenError("The admin token has no node to watch.", field="role")
        if is_watcher and principal.agent is not None:
            raise errors.ForbiddenError(
                f"A watcher needs its node's token; this one is {principal.agent}'s.", field="role"
            )
        only = self._subset(principal, query.agents, is_watcher=is_watcher)
        stream = Stream(
            node=principal.node,
            agent=principal.agent,
            only=only,
            is_watcher=is_watcher,
            wants_receipts=query.receipts,
            token_sha256=principal.sha256,
            queue_limit=self._live.settings.stream_queue_events,
        )
        cursor = call.headers.get("last-event-id") or query.last_event_id
        subscription = Subscription(
            self._parts, stream, live=self._live, version=self._version, cursor=cursor
        )
        return self._live.open(call, stream, subscription)

    def _subset(
        self, principal: Principal, names: str | None, *, is_watcher: bool
    ) -> frozenset[AgentName] | None:
        if names is None:
            return None
        own = self._auth.watches(principal) if is_watcher else self._auth.speaks_for(principal)
        chosen = [self._parts.directory.require(n, field="agents") for n in names.split(",")]
        foreign = [name for name in chosen if name not in own]
        if foreign:
            raise self._auth.refusal(principal, foreign, field="agents")
        return frozenset(chosen)


class Subscription:
    """What a node's stream carries: hello, the backlog, then what happens."""

    __slots__ = ("_cursor", "_live", "_parts", "_stream", "_version")
    never_blocks: Final = True

    def __init__(
        self,
        parts: StreamParts,
        stream: Stream,
        *,
        live: LiveStreams,
        version: str,
        cursor: str | None,
    ) -> None:
        self._parts = parts
        self._stream = stream
        self._live = live
        self._version = version
        self._cursor = cursor

    def agents(self) -> tuple[AgentName, ...]:
        """The agents carried now: the roster decides, at every moment."""
        return tuple(agent for agent in self._allowed() if self._stream.carries(agent))

    def resume_id(self) -> str:
        """The cursor that came, if it can be resumed."""
        epoch, _, number = (self._cursor or "").rpartition("-")
        if self._parts.cluster.is_plural and epoch == self._parts.store.epoch:
            # Another hub may know it, and the database may be away.
            return f"{epoch}-{number}" if SEQ.fullmatch(number) else ""
        position, _ = self._resume(self.agents())
        return "" if position is None else f"{self._parts.store.epoch}-{position}"

    def opened(self) -> None:
        """Take the node's lease, for a watcher."""
        if self._stream.is_watcher and self._stream.node is not None:
            self._parts.presence.opened(self._stream.node, self._stream, self.agents())

    def closed(self) -> None:
        """Give the lease back.

        A watcher whose stream has lived its time keeps it: it comes back within two seconds, as
        `bye` asks it to, and a send in between finds it online. If not, the lease lapses.
        """
        if self._stream.end_reason == states.LIFETIME:
            return
        if self._stream.is_watcher and self._stream.node is not None:
            self._parts.presence.closed(self._stream.node, self._stream)

    def opening(self) -> Iterator[bytes]:
        """Hello, perhaps reset, then the backlog."""
        store = self._parts.store
        self._catch_up()
        agents = self.agents()
        # Read before the store is asked: what is committed in between has a higher number.
        head = self._parts.counters.head
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
                "keepalive_s": self._live.settings.keepalive_s,
                "agents": agents,
                "mailboxes": [self._parts.fanout.mailbox_fields(agent) for agent in agents],
                "version": self._version,
                "reconnect_cap_s": reconnect.cap_s(self._live.returning_count),
            },
            retry_ms=self._live.settings.retry_ms,
            resume_id=f"{store.epoch}-{position}",
        )
        if reset_reason is not None:
            yield sse.control(
                "reset",
                {"reason": reset_reason, "oldest": position, "head": self._parts.counters.head},
            )
        yield from self._backlog(position, unread_only=unread_only)

    def _catch_up(self) -> None:
        """Hear first what the client has seen at another hub, which may have died since.

        A cursor that nobody has given asks for it once, and is reset.
        """
        epoch, _, number = (self._cursor or "").rpartition("-")
        if epoch != self._parts.store.epoch or not SEQ.fullmatch(number):
            return
        if int(number) > self._parts.counters.head:
            self._parts.cluster.catch_up()

    def _resume(self, agents: tuple[AgentName, ...]) -> tuple[int | None, ResetReason | None]:
        """(position or None for the unread backlog, reason of a reset or None)."""
        if self._cursor is None:
            return None, None
        epoch, _, number = self._cursor.rpartition("-")
        if epoch != self._parts.store.epoch or not SEQ.fullmatch(number):
            return None, states.EPOCH
        position = int(number)
        if position > self._parts.counters.head:
            return None, states.AHEAD
        if position < self._parts.store.archived_seq(agents):
            return None, states.ARCHIVED
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
                yield from self.written(self._next_frames(waiting))
                position = page[-1 - len(waiting)].seq
            if len(page) < REPLAY_PAGE:
                position = head
                if head == self._parts.counters.head:  # nothing came in between: live from here on
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

    def written(self, entries: Sequence[Entry]) -> Iterator[bytes]:
        """The frames that this stream may still carry, as one write; noted once it is done.

        An agent may move while its mail waits here. Then its former node has no right to it. Nor
        has a watcher to what mail of an agent with a token of its own says.
        """
        own = self._allowed()
        allowed = [e for e in entries if e.delivery is None or e.delivery.agent in own]
        if self._stream.agent is None and self._parts.directory.private:
            allowed = [self._parts.fanout.as_watcher_sees(entry) for entry in allowed]
        if allowed:
            yield b"".join([entry.frame for entry in allowed])
            self._parts.hops.note_pushed(allowed)

    def _allowed(self) -> tuple[AgentName, ...]:
        """All that the token may have streams of; one of an agent's own asks for that agent."""
        stream, directory = self._stream, self._parts.directory
        if stream.agent is not None or stream.is_watcher:
            return directory.agents_of(stream.node)
        return directory.spoken_for_by(stream.node)

    def quiet(self) -> bytes:
        """A comment, so that both ends notice a dead peer."""
        return sse.KEEPALIVE
