"""Live streams: the one loop that writes server-sent events, to nodes and to browsers.

A stream is admitted, opens, carries what is queued for it until its lifetime is over or it is
asked to end, and says `bye`. Its `Source` decides what it carries. Each stream runs in the
greenlet of its request.
"""

from __future__ import annotations

import contextlib
import errno
import random
from typing import TYPE_CHECKING, Final, Protocol

from agent_bus.bus import reconnect
from agent_bus.core import errors, sse, states
from agent_bus.http.call import Answer

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

    from agent_bus.bus.broker import Broker, Entry, Stream
    from agent_bus.bus.directory import Directory
    from agent_bus.core.clock import Clock
    from agent_bus.core.states import ByeReason
    from agent_bus.http.call import AnyCall
    from agent_bus.runtime.greenlets import HangUps
    from agent_bus.settings import Settings

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class Source(Protocol):
    """What one stream carries.

    `written` and `quiet` raise `errors.UnauthenticatedError` when the peer has lost its right.
    """

    def resume_id(self) -> str:
        """Where the peer would go on, if the stream ended before it began; empty if unknown."""

    def opened(self) -> None:
        """The stream was admitted."""

    def opening(self) -> Iterator[bytes]:
        """The frames up to the live ones."""

    def written(self, entries: Sequence[Entry]) -> Iterator[bytes]:
        """What is written of these queued frames, in one write."""

    def quiet(self) -> bytes:
        """What is written when nothing was queued for a keepalive's time."""

    def closed(self) -> None:
        """The stream has ended; may come more than once."""


class LiveStreams:
    """Opens streams.

    Args:
        hang_ups: tells of peers that are gone.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        directory: Directory,
        clock: Clock,
        settings: Settings,
        hang_ups: HangUps,
    ) -> None:
        self.broker = broker
        self.clock = clock
        self.settings = settings
        self.hang_ups = hang_ups
        self._directory = directory

    @property
    def returning_count(self) -> int:
        """How many streams would come back after a restart, with those that are not back yet."""
        return max(self.broker.reconnecting_count, len(self._directory.roster.tokens))

    def open(self, call: AnyCall, stream: Stream, source: Source) -> Answer:
        """Admit a stream and answer its frames.

        Raises:
            errors.TooManyStreamsError: over a limit.
        """
        live = LiveStream(self, stream, source)
        try:
            self.broker.admit(stream)
        except errors.NotReadyError:
            # A refusal would be the end for good: `EventSource` gives up at any answer but 200.
            return Answer(200, headers=HEADERS, frames=[live.turn_away()])
        if call.socket is not None:
            _bound_writes(call.socket, self.settings.write_timeout_s)
            stream.socket = call.socket
        source.opened()
        live.watch_peer()
        return Answer(200, headers=HEADERS, frames=live)


class LiveStream:
    """One stream's frames, as an iterable that the server closes when the peer is gone."""

    def __init__(self, among: LiveStreams, stream: Stream, source: Source) -> None:
        self._among = among
        self._stream = stream
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        """All frames, from the first to bye.

        Raises:
            BrokenPipeError: the peer has hung up; nobody is there to be told bye.
        """
        try:
            yield from self._source.opening()
            yield from self._live()
        except errors.UnauthenticatedError:
            self._stream.end(states.REVOKED)
        except errors.NoPrimaryError:  # its backlog cannot be read here, perhaps at another hub
            self._stream.end(states.SHUTDOWN)
        finally:
            self.close()
        if self._stream.end_reason == states.GONE:
            raise BrokenPipeError(errno.EPIPE, "The peer has hung up")
        yield self._bye(self._stream.end_reason or states.LIFETIME)
        if self._stream.socket is not None:
            with contextlib.suppress(OSError):
                self._stream.socket.settimeout(None)  # the connection may serve other requests

    def turn_away(self) -> bytes:
        """All that a stream of a hub that is stopping carries."""
        return self._bye(states.SHUTDOWN, resume_id=self._source.resume_id())

    def watch_peer(self) -> None:
        """End with the peer's side of the connection, from now on.

        So a watcher that is stopped or killed loses its lease at once, and a send does not call
        its agents online. A network that is cut says nothing: then the lease lapses.
        """
        if self._stream.socket is not None:
            self._among.hang_ups.watch(self._stream.socket, self._peer_is_gone)

    def close(self) -> None:
        """Leave the broker and tell the source; harmless when repeated."""
        if self._stream.socket is not None:
            self._among.hang_ups.forget(self._stream.socket)
        self._among.broker.leave(self._stream)
        self._source.closed()

    def _peer_is_gone(self) -> None:
        self._stream.end(states.GONE)
        self.close()  # the stream's greenlet may be in the middle of a read from the store

    def _live(self) -> Iterator[bytes]:
        clock, settings = self._among.clock, self._among.settings
        lifetime_s = settings.stream_lifetime_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        deadline = clock.monotonic() + lifetime_s
        while True:
            left_s = deadline - clock.monotonic()
            if left_s <= 0:
                self._stream.end(states.LIFETIME)
            entries = self._stream.take(max(0.0, min(settings.keepalive_s, left_s)))
            if entries:
                yield from self._source.written(entries)
            elif self._stream.end_reason is not None:
                return
            elif clock.monotonic() < deadline:
                yield self._source.quiet()

    def _bye(self, reason: ByeReason, *, resume_id: str = "") -> bytes:
        retry_ms = reconnect.bye_retry_ms(
            self._among.settings.retry_ms,
            self._among.returning_count,
            draw=random.random(),  # noqa: S311 - jitter
        )
        return sse.bye(reason, retry_ms=retry_ms, resume_id=resume_id)


def _bound_writes(peer: socket.socket, timeout_s: float) -> None:
    """Let no write to a stream's peer take longer.

    A write that fits the kernel's buffer succeeds even when the peer is gone; the worker's limits
    see to that case.
    """
    peer.settimeout(timeout_s)
