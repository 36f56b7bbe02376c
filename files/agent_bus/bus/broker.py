"""Open streams with their bounded queues, and long polls that wait for an inbox.

Everything is in memory, runs in the loop's thread and never blocks. Streams live in this process
only, so each hub has exactly one: `app/hub.py` holds a lock file against a second.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from agent_bus.core import errors, states
from agent_bus.runtime import tls
from agent_bus.runtime.greenlets import Event, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agent_bus.core.model import AgentName, Delivery, NodeName
    from agent_bus.core.states import EndReason


QUEUE_BYTES: Final = 8 * 1024 * 1024
"""Bytes of frames that may wait for one stream; past it the stream ends. A limit on the number of
events is not enough: a few stopped peers, each a thousand large messages behind, would fill a
small hub's memory. Redis has 8 MiB, too (`client-output-buffer-limit pubsub`)."""


WRITE_BYTES: Final = 32 * 1024
"""Frames are joined up to this size, so that a burst costs a stream one write. The write timeout
of a slow peer covers this and one frame."""


POLL_LOOK_S: Final = 1.0
"""How often a long poll checks whether it is over: no event says that its client has died."""


class Entry(NamedTuple):
    """One frame to write; for a delivery also which one, and when it was committed."""

    frame: bytes
    delivery: Delivery | None = None
    committed: float = 0.0


class Holder(NamedTuple):
    """The token that holds a long poll open."""

    node: NodeName | None
    token_sha256: str


class Stream:
    """One subscriber: a node's stream (or the operator's, node None) with its queue.

    With an `agent`, the stream's token is that agent's own, and it carries nobody else.

    Until `is_live`, deliveries are not queued: the stream's greenlet is still reading them from
    the store, up to a head that it reads again before it goes live, so that none is missed.
    Until `is_greeted`, counters are not queued: hello will carry newer ones.

    Attributes:
        on_ready: called in place of waking a greenlet, once: when there is something to write, or
            the stream was asked to end.
    """

    __slots__ = (
        "_limit", "_queue", "_queued_bytes", "_signal", "agent", "end_reason", "is_greeted",
        "is_live", "is_watcher", "node", "on_ready", "only", "socket", "token_sha256",
        "wants_receipts",
    )  # fmt: skip

    def __init__(
        self,
        *,
        node: NodeName | None,
        only: frozenset[AgentName] | None,
        is_watcher: bool,
        wants_receipts: bool,
        token_sha256: str,
        queue_limit: int,
        agent: AgentName | None = None,
    ) -> None:
        self.node = node
        self.agent = agent
        self.only = only if agent is None else frozenset((agent,))
        self.is_watcher = is_watcher
        self.wants_receipts = wants_receipts
        self.token_sha256 = token_sha256
        self.is_live = False
        self.is_greeted = False
        self.end_reason: EndReason | None = None
        self.socket: socket.socket | None = None
        self._queue: list[Entry] = []
        self._queued_bytes = 0
        self._limit = queue_limit
        self._signal: Signal | None = None
        self.on_ready: Callable[[], None] | None = None

    def carries(self, agent: AgentName) -> bool:
        """Whether this stream asked for this agent's events."""
        return self.only is None or agent in self.only

    def may_carry(self, agent: AgentName, *, is_private: bool) -> bool:
        """Whether this stream gets an agent's mail; a watcher gets it even of a private one.

        Args:
            agent: whose mail.
            is_private: whether only a token of the agent's own speaks for it.
        """
        if is_private and not self.is_watcher and self.agent is None:
            return False
        return self.only is None or agent in self.only

    def has_ended(self) -> bool:
        """Whether it was asked to stop."""
        return self.end_reason is not None

    def put(self, entry: Entry) -> None:
        """Queue a frame; a full queue ends the stream (its messages stay in the store)."""
        if self.end_reason is not None:
            return
        if self.waiting >= self._limit or self._queued_bytes >= QUEUE_BYTES:
            self.end(states.OVERFLOW)
            return
        self._queue.append(entry)
        self._queued_bytes += len(entry.frame)
        self._wake()

    def end(self, reason: EndReason) -> None:
        """Ask the stream's greenlet to say bye and stop; the first reason stays.

        At the end of a lifetime and at shutdown, queued frames are still written. In all other
        cases the peer is too slow, replaced or no longer entitled; it resumes by its cursor.
        """
        if self.end_reason is None:
            self.end_reason = reason
            if reason not in (states.LIFETIME, states.SHUTDOWN):
                self._queue.clear()
                self._queued_bytes = 0
        self._wake()

    @property
    def waiting(self) -> int:
        """How many frames are queued."""
        return len(self._queue)

    def wait(self, timeout_s: float) -> None:
        """Block this greenlet until there is something to take or the stream was asked to end."""
        if not self._queue and self.end_reason is None:
            self._signal = self._signal or Signal()
            self._signal.wait(timeout_s)

    def take(self, timeout_s: float = 0.0) -> list[Entry]:
        """The next frames, for one write; none after `timeout_s` or when the stream was ended.

        One at least, and more as long as they make up less than `WRITE_BYTES`.
        """
        if timeout_s:
            self.wait(timeout_s)
        if self._queued_bytes < WRITE_BYTES:
            taken, self._queue = self._queue, []
            self._queued_bytes = 0
            return taken
        taken, size = [], 0
        for entry in self._queue:
            if size >= WRITE_BYTES:
                break
            size += len(entry.frame)
            taken.append(entry)
        del self._queue[: len(taken)]
        self._queued_bytes -= size
        return taken

    def _wake(self) -> None:
        if self.on_ready is not None:
            on_ready, self.on_ready = self.on_ready, None
            on_ready()
        elif self._signal is not None:
            self._signal.give()

    def cut(self) -> None:
        """Close the peer's connection at once, whatever is still unsent."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                tls.hang_up(self.socket, socket.SHUT_RDWR)


class Broker:
    """All open streams, by node, and all greenlets that wait for an inbox."""

    def __init__(self, *, streams_total: int, streams_per_token: int) -> None:
        self._streams: dict[NodeName | None, set[Stream]] = {}
        self._waiting: dict[AgentName, set[Event]] = {}
        self._polls: Counter[str] = Counter()
        self._is_ending = False
        self._is_fenced = False
        self._ended_count = 0
        self._total = streams_total
        self._per_token = streams_per_token

    def __len__(self) -> int:
        return sum(len(streams) for streams in self._streams.values())

    def __iter__(self) -> Iterator[Stream]:
        return (stream for streams in list(self._streams.values()) for stream in list(streams))

    def admit(self, stream: Stream) -> None:
        """Take a stream in; a newer watcher of a node ends the older one.

        Raises:
            errors.TooManyStreamsError: the token's or the hub's limit is reached.
        """
        if self._turns_away():
            why = "is stopping" if self._is_ending else "cannot reach its database"
            raise errors.NotReadyError(f"The hub {why}; come back in a moment.")
        siblings = self._streams.get(stream.node, set())
        older = {s for s in siblings if s.is_watcher and stream.is_watcher}
        staying = siblings - older
        self._require_room(staying, stream.token_sha256, ending=len(older))
        for one in older:
            one.end(states.SUPERSEDED)
        self._streams[stream.node] = staying | {stream}

    def leave(self, stream: Stream) -> None:
        """Forget a stream; harmless when repeated."""
        siblings = self._streams.get(stream.node)
        if siblings is not None:
            siblings.discard(stream)
            if not siblings:
                del self._streams[stream.node]

    def streams_of(self, node: NodeName | None) -> Iterable[Stream]:
        """The open streams of one node, as of now: none may begin or leave while they are read."""
        return self._streams.get(node, ())

    def watcher_of(self, node: NodeName) -> Stream | None:
        """The node's watcher stream, if one is open; one that was asked to end hears nothing."""
        streams = self._streams.get(node, ())
        return next((s for s in streams if s.is_watcher and not s.has_ended()), None)

    def wake_inbox(self, agent: AgentName) -> None:
        """Let every long poll for this agent's inbox look again."""
        for event in self._waiting.get(agent, ()):
            event.set()

    def wait_for_inbox(
        self,
        agent: AgentName,
        *,
        holder: Holder,
        timeout_s: float,
        is_over: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Wait until something new may be in an inbox; False after a timeout or at shutdown.

        Args:
            agent: whose inbox.
            holder: the token whose limit the wait counts against.
            timeout_s: seconds to wait at most.
            is_over: asked every POLL_LOOK_S; when nobody waits any more, the answer is False, too.

        Raises:
            errors.TooManyStreamsError: long polls count as streams, both per token and in total.
        """
        if self._turns_away():
            return False
        self._require_room(self._streams.get(holder.node, ()), holder.token_sha256)
        event = Event()
        self._waiting.setdefault(agent, set()).add(event)
        self._polls[holder.token_sha256] += 1
        try:
            left_s = timeout_s
            while not event.wait(min(left_s, POLL_LOOK_S)):
                left_s -= POLL_LOOK_S
                if left_s <= 0 or is_over():
                    return False
            return not self._turns_away()
        finally:
            self._polls[holder.token_sha256] -= 1
            if not self._polls[holder.token_sha256]:
                del self._polls[holder.token_sha256]
            waiting = self._waiting[agent]
            waiting.discard(event)
            if not waiting:
                del self._waiting[agent]

    @property
    def reconnecting_count(self) -> int:
        """How many streams will come back after a restart, ended ones included."""
        return max(len(self), self._ended_count)

    def end_all(self, reason: EndReason) -> None:
        """Ask all streams to say bye and all long polls to answer; none begins any more."""
        self._is_ending = True
        self._ended_count = self.reconnecting_count
        for stream in self:
            stream.end(reason)
        for agent in list(self._waiting):
            self.wake_inbox(agent)

    def fence(self, reason: EndReason) -> None:
        """Ask all streams to say bye and all long polls to answer; none begins until `unfence`."""
        self._is_fenced = True
        for stream in self:
            stream.end(reason)
        for agent in list(self._waiting):
            self.wake_inbox(agent)

    def unfence(self) -> None:
        """Let streams and long polls begin again."""
        self._is_fenced = False

    def _turns_away(self) -> bool:
        return self._is_ending or self._is_fenced

    def _require_room(
        self, siblings: Iterable[Stream], token_sha256: str, *, ending: int = 0
    ) -> None:
        """Refuse a stream or long poll past the limits; `siblings` are its node's streams."""
        held = sum(s.token_sha256 == token_sha256 for s in siblings) + self._polls[token_sha256]
        if held >= self._per_token:
            raise errors.TooManyStreamsError(self._per_token, scope="this token")
        if len(self) - ending + self._polls.total() >= self._total:
            raise errors.TooManyStreamsError(self._total, scope="the hub")
