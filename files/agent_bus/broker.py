"""Fan-out in memory: open streams, their bounded queues, and who waits for an inbox.

Everything here runs in the loop's thread and never blocks. Because subscribers live in this
process only, there is exactly one server process: `app.py` holds a lock file against a second.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from agent_bus import errors
from agent_bus.runtime import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_bus.model import AgentName, Delivery, NodeName


class Entry(NamedTuple):
    """One frame that waits to be written; deliveries say which and when they were committed."""

    frame: bytes
    delivery: Delivery | None = None
    committed: float = 0.0


class Stream:
    """One subscriber: a node's stream (or the operator's, node None) with its queue.

    Until `is_live`, deliveries are not queued: the stream's greenlet is still reading them from
    the store, up to a head that it reads again before it goes live, so none falls between.
    """

    def __init__(
        self,
        *,
        node: NodeName | None,
        only: frozenset[AgentName] | None,
        is_watcher: bool,
        wants_receipts: bool,
        token_sha256: str,
        queue_limit: int,
    ) -> None:
        self.node = node
        self.only = only
        self.is_watcher = is_watcher
        self.wants_receipts = wants_receipts
        self.token_sha256 = token_sha256
        self.is_live = False
        self.end_reason: str | None = None
        self.socket: socket.socket | None = None
        self._queue: deque[Entry] = deque()
        self._limit = queue_limit
        self._event = Event()

    def carries(self, agent: AgentName) -> bool:
        """Whether this stream asked for this agent's events."""
        return self.only is None or agent in self.only

    def put(self, entry: Entry) -> None:
        """Queue a frame; a full queue ends the stream (its messages stay in the store)."""
        if self.end_reason is not None:
            return
        if len(self._queue) >= self._limit:
            self.end("overflow")
            return
        self._queue.append(entry)
        self._event.set()

    def end(self, reason: str) -> None:
        """Ask the stream's greenlet to say bye and stop; the first reason stays.

        What waits is still written at the end of a lifetime or at shutdown; in the other cases
        the peer is too slow, replaced or no longer entitled, and it resumes by its cursor.
        """
        if self.end_reason is None:
            self.end_reason = reason
            if reason not in {"lifetime", "shutdown"}:
                self._queue.clear()
        self._event.set()

    @property
    def waiting(self) -> int:
        """How many frames are queued."""
        return len(self._queue)

    def take(self, timeout_s: float) -> Entry | None:
        """The next frame, or None after `timeout_s` or when the stream was ended."""
        if not self._queue and self.end_reason is None:
            self._event.clear()
            self._event.wait(timeout_s)
        return self._queue.popleft() if self._queue else None

    def cut(self) -> None:
        """Close the peer's connection at once, whatever it still had to take."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)


class Broker:
    """All open streams, by node, and all greenlets that wait for an inbox."""

    def __init__(self, *, streams_total: int, streams_per_token: int) -> None:
        self._streams: dict[NodeName | None, set[Stream]] = {}
        self._waiting: dict[AgentName, set[Event]] = {}
        self._polls = 0
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
        siblings = self._streams.setdefault(stream.node, set())
        if stream.is_watcher:
            for older in [s for s in siblings if s.is_watcher]:
                older.end("superseded")
                siblings.discard(older)
        if sum(s.token_sha256 == stream.token_sha256 for s in siblings) >= self._per_token:
            raise errors.TooManyStreamsError(self._per_token, scope="this token")
        if len(self) + self._polls >= self._total:
            raise errors.TooManyStreamsError(self._total, scope="the hub")
        siblings.add(stream)

    def leave(self, stream: Stream) -> None:
        """Let a stream go; harmless when it has gone already."""
        siblings = self._streams.get(stream.node)
        if siblings is not None:
            siblings.discard(stream)
            if not siblings:
                del self._streams[stream.node]

    def streams_of(self, node: NodeName | None) -> Iterable[Stream]:
        """The open streams of one node."""
        return tuple(self._streams.get(node, ()))

    def watcher_of(self, node: NodeName) -> Stream | None:
        """The node's watcher stream, if one is open."""
        return next((s for s in self._streams.get(node, ()) if s.is_watcher), None)

    def wake_inbox(self, agent: AgentName) -> None:
        """Let everybody who waits for this agent's inbox look again."""
        for event in self._waiting.get(agent, ()):
            event.set()

    def wait_for_inbox(self, agent: AgentName, *, timeout_s: float) -> bool:
        """Wait until something new may be in an inbox; False when it timed out.

        Raises:
            errors.TooManyStreamsError: long polls count as streams.
        """
        if len(self) + self._polls >= self._total:
            raise errors.TooManyStreamsError(self._total, scope="the hub")
        event = Event()
        self._waiting.setdefault(agent, set()).add(event)
        self._polls += 1
        try:
            return bool(event.wait(timeout_s))
        finally:
            self._polls -= 1
            waiting = self._waiting[agent]
            waiting.discard(event)
            if not waiting:
                del self._waiting[agent]

    def end_all(self, reason: str) -> None:
        """Ask all streams to say bye, and let all long polls answer."""
        for stream in self:
            stream.end(reason)
        for agent in list(self._waiting):
            self.wake_inbox(agent)
