"""Live streams: what writes server-sent events, to nodes and to browsers.

A stream is admitted, opens, carries what is queued for it until its lifetime is over or it is
asked to end, and says `bye`. Its `Source` decides what it carries. It opens in the greenlet of its
request. Once nothing is left to write, that greenlet ends, and the loop writes what comes to the
connection. A peer that does not take it at once gets a greenlet, which waits for it, until it has
taken all.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import random
from typing import TYPE_CHECKING, Final, Protocol

from agent_bus.bus import reconnect
from agent_bus.core import errors, sse, states
from agent_bus.http.call import Answer
from agent_bus.http.streaming.parking import Parking
from agent_bus.http.streaming.peer import Peer
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from agent_bus.bus.broker import Broker, Entry, Stream
    from agent_bus.bus.directory import Directory
    from agent_bus.core.clock import Clock
    from agent_bus.core.states import ByeReason
    from agent_bus.http.call import AnyCall
    from agent_bus.settings import Settings

logger = logging.getLogger(__name__)

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class Source(Protocol):
    """What one stream carries.

    `written` and `quiet` raise `errors.UnauthenticatedError` when the peer has lost its right.
    """

    @property
    def never_blocks(self) -> bool:
        """Whether `written` and `quiet` may run in the loop itself."""

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
        hang_ups: greenlets.HangUps,
    ) -> None:
        self.broker = broker
        self.clock = clock
        self.settings = settings
        self.hang_ups = hang_ups
        self.parking = Parking(clock)
        self.served: set[LiveStream] = set()
        """Streams that have a connection, until it is closed."""
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
            stream.socket = call.socket
            live.peer = Peer(call, timeout_s=self.settings.write_timeout_s)
        source.opened()
        live.watch_peer()
        return Answer(200, headers=HEADERS, frames=live)

    def cut(self) -> None:
        """Close all connections at once, whatever is still unsent."""
        for live in list(self.served):
            live.cut()


class LiveStream:
    """One stream.

    The server lets it serve its own connection. Without one, as in tests, it is an iterable of
    frames.

    Attributes:
        peer: set before it is served.
        due, is_booked, is_called: see `Parked`.
    """

    __slots__ = (
        "_among", "_deadline", "_is_parked", "_source", "_steps", "_stream", "due", "is_booked",
        "is_called", "peer",
    )  # fmt: skip

    def __init__(self, among: LiveStreams, stream: Stream, source: Source) -> None:
        self.peer: Peer | None = None
        self.due = 0.0
        self.is_booked = self.is_called = False
        self._among = among
        self._stream = stream
        self._source = source
        self._is_parked = False
        lifetime_s = among.settings.stream_lifetime_s * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        self._deadline = among.clock.monotonic() + lifetime_s
        self._steps = self._all_steps()

    def __iter__(self) -> Iterator[bytes]:
        """All frames, from the first to bye; waits between them.

        Raises:
            BrokenPipeError: the peer has hung up; nobody is there to be told bye.
        """
        with contextlib.closing(self._steps):
            for frame in self._steps:
                if frame is None:
                    self._wait()
                else:
                    yield frame
        if self._stream.end_reason == states.GONE:
            raise BrokenPipeError(errno.EPIPE, "The peer has hung up")

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

    def serve(self) -> bool:
        """Take the connection over and write to it; False when there is none.

        Comes back when the stream is over, or goes on without this greenlet.
        """
        if self.peer is None:
            return False
        self._among.served.add(self)
        self.peer.begin(HEADERS)
        self._serve_slowly(self.peer)
        return True

    def serve_now(self) -> None:
        """Write what is queued, or that the stream lives, to a peer that has taken all before.

        Runs in the loop itself. Whatever may take time goes to a greenlet.
        """
        peer = self.peer
        if peer is None or not self._is_parked:
            return
        self._is_parked = False
        try:
            if not self._stream.has_ended():
                for frame in self._steps:
                    if frame is None:
                        self._park()
                        return
                    if not peer.write_now(frame):
                        break
        except OSError:
            self._part()
        except Exception:
            logger.exception("A stream failed")
            self._part()
        else:
            greenlets.spawn(self._serve_slowly, peer)

    @property
    def has_left(self) -> bool:
        """Whether its connection is closed."""
        return self.peer is None

    def cut(self) -> None:
        """Close the connection at once, whatever is still unsent."""
        if self._is_parked:
            self._part()
        else:
            self._stream.cut()

    def _serve_slowly(self, peer: Peer) -> None:
        """Write, and wait for the peer, until nothing is left to write or the stream is over."""
        try:
            peer.flush()
            for frame in self._steps:
                if frame is not None:
                    peer.write(frame)
                elif self._source.never_blocks:
                    self._park()
                    return
                else:
                    self._wait()
            if self._stream.end_reason != states.GONE:
                peer.end()
        except OSError:  # it is gone, or takes nothing
            pass
        except Exception:
            logger.exception("A stream failed")
        finally:
            if not self._is_parked:
                self._part()

    def _park(self) -> None:
        """Go on without a greenlet."""
        self._is_parked = True
        self._stream.on_ready = self._on_ready
        self._among.parking.park(self)

    def _on_ready(self) -> None:
        self._among.parking.call(self)

    def _part(self) -> None:
        """Close the connection; the stream is over."""
        self._is_parked = False
        self._steps.close()
        self.close()
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.close()
        self._among.served.discard(self)

    def _peer_is_gone(self) -> None:
        self._stream.end(states.GONE)
        self.close()  # the stream's greenlet may be in the middle of a read from the store
        if self._is_parked:
            self._part()

    def _wait(self) -> None:
        self._stream.wait(max(0.0, self.due - self._among.clock.monotonic()))

    def _all_steps(self) -> Generator[bytes | None]:
        """All frames, and None whenever nothing is left to write.

        Then it goes on when there is something, the stream has ended, or it is `due`.
        """
        try:
            yield from self._source.opening()
            yield from self._live_steps()
        except errors.UnauthenticatedError:
            self._stream.end(states.REVOKED)
        except errors.NoPrimaryError:  # its backlog cannot be read here, perhaps at another hub
            self._stream.end(states.SHUTDOWN)
        finally:
            self.close()
        if self._stream.end_reason != states.GONE:
            yield self._bye(self._stream.end_reason or states.LIFETIME)

    def _live_steps(self) -> Iterator[bytes | None]:
        clock, keepalive_s = self._among.clock, self._among.settings.keepalive_s
        has_waited = False
        while True:
            if clock.monotonic() >= self._deadline:
                self._stream.end(states.LIFETIME)
            entries = self._stream.take()
            if entries:
                yield from self._source.written(entries)
            elif self._stream.end_reason is not None:
                return
            elif has_waited:
                yield self._source.quiet()
            else:
                self.due = min(clock.monotonic() + keepalive_s, self._deadline)
                yield None
            has_waited = not (entries or has_waited)

    def _bye(self, reason: ByeReason, *, resume_id: str = "") -> bytes:
        retry_ms = reconnect.bye_retry_ms(
            self._among.settings.retry_ms,
            self._among.returning_count,
            draw=random.random(),  # noqa: S311 - jitter
        )
        return sse.bye(reason, retry_ms=retry_ms, resume_id=resume_id)
