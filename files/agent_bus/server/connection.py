"""Connections that the loop itself serves: plain POSTs, without a greenlet.

A connection is read when its bytes are there, and written from the callback that the answer comes
with. In between it is only an entry in a table. What cannot be done so (any request that is not
plain) leaves with the bytes that have been read, for gunicorn in a greenlet.

Each turn of the loop takes at most one request of each connection. So a client that always has
its next request ready keeps nobody waiting.
"""

from __future__ import annotations

import ssl
import time
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from agent_bus.http.call import PlainRequest
from agent_bus.runtime import greenlets
from agent_bus.runtime.listening import Readiness
from agent_bus.server.plain import REQUEST_BYTES, PlainReader
from agent_bus.server.response import response

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.http.call import Answer
    from agent_bus.server.plain import Heads

PIECES_S: Final = 0.1
"""How long the rest of a request may take; most clients write head and body one after the other.
Past it gunicorn waits, in a greenlet and with its own limits."""
PIECES: Final = 8
"""How many pieces a request may come in; each is looked at from the start."""
LATER: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""How a socket says that it would have to wait."""


class Peer(Protocol):
    """A connected socket that never blocks."""

    def fileno(self) -> int:
        """Its descriptor."""

    def recv(self, size: int, /) -> bytes:
        """What has come, or nothing at the end."""

    def send(self, part: bytes, /) -> int:
        """Hand bytes to the kernel; answers how many it took."""


class Service(Protocol):
    """What answers plain POSTs."""

    def begin_plain(self, request: PlainRequest, done: Callable[[Answer], None]) -> bool:
        """Begin to answer in the loop itself; False when that is not possible."""

    def answer_plain(self, request: PlainRequest) -> Answer:
        """Answer in a greenlet."""


Leave: TypeAlias = "Callable[[bytes | None], None]"
"""Takes a connection back: with bytes that have been read and are not plain, or None at its end.
It must not wait."""


class Connections:
    """All connections that the loop itself serves.

    Args:
        idle_s: how long one may be open without a request.
    """

    def __init__(self, heads: Heads, service: Service, *, idle_s: float) -> None:
        self.heads = heads
        self.service = service
        self.idle_s = idle_s
        self.is_ending = False
        """Whether each connection ends with the answer that it waits for."""
        self.open: set[Connection] = set()
        self.begun: set[Connection] = set()
        """Those of which a part of a request has come."""

    def serve(self, peer: Peer, address: str, leave: Leave) -> Connection:
        """Serve a connection from its next request on; call it in the loop, or a greenlet."""
        connection = Connection(self, peer, address, leave)
        self.open.add(connection)
        return connection

    def tend(self) -> None:
        """End those that were idle for long, and let gunicorn wait for the rest of requests."""
        now = time.monotonic()
        for one in [one for one in self.begun if one.deadline <= now]:
            one.give_up_on_rest()
        for one in [one for one in self.open if one.deadline <= now]:
            one.end_idle()

    def hang_up_idle(self) -> None:
        """End those without a request under way, and each other one with its answer."""
        self.is_ending = True
        for one in list(self.open):
            one.end_idle()

    def cut_writing(self) -> None:
        """End those whose peers still have bytes of an answer to take."""
        for one in list(self.open):
            one.cut_writing()


class Connection:
    """One of them. All methods run in the loop's thread."""

    __slots__ = (
        "_among", "_begun", "_closes", "_is_busy", "_is_paused", "_leave", "_peer", "_pieces",
        "_reader", "_reading", "_unsent", "_writing", "deadline",
    )  # fmt: skip

    def __init__(
        self,
        among: Connections,
        peer: Peer,
        address: str,
        leave: Leave,
    ) -> None:
        self._among = among
        self._peer = peer
        self._reader = PlainReader(among.heads, address, peer)
        self._leave = leave
        self._begun = b""
        self._pieces = 0
        self._unsent = b""
        self._closes = False
        self._is_busy = False
        self._is_paused = False
        """Whether the peer's bytes are not looked for."""
        self._reading: Readiness | None = None
        self._writing: Readiness | None = None
        self.deadline = time.monotonic() + among.idle_s

    def read(self) -> None:
        """Take what has come, if anything has."""
        if self._is_busy:  # the peer has more to say, or ended: that is looked at after the answer
            if self._reading is not None:
                self._reading.pause()
                self._is_paused = True
            return
        try:
            received = self._peer.recv(REQUEST_BYTES)
        except LATER:
            self._wait()
            return
        except OSError:
            received = b""
        if not received:
            self._go(self._begun or None)  # gunicorn says what half a request is worth
            return
        if self._begun:
            received = self._begun + received
        found = self._reader.read(received)
        if isinstance(found, PlainRequest):
            self._serve(found)
        elif found and self._pieces < PIECES:
            self._wait_for_rest(received)
        else:
            self._go(received)

    def give_up_on_rest(self) -> None:
        """Let gunicorn wait for the rest of a request."""
        self._go(self._begun)

    def end_idle(self) -> None:
        """End it unless a request is under way."""
        if not self._is_busy:
            self.end()

    def cut_writing(self) -> None:
        """End it if the peer has not taken its answer."""
        if self._unsent:
            self.end()

    def end(self) -> None:
        """End it."""
        self._go(None)

    def stop(self) -> None:
        """Serve it no longer; harmless when repeated. The socket stays open."""
        for watch in (self._reading, self._writing):
            if watch is not None:
                watch.close()
        self._reading = self._writing = None
        self._among.open.discard(self)
        self._among.begun.discard(self)

    def _go(self, received: bytes | None) -> None:
        if self in self._among.open:
            self.stop()
            self._leave(received)

    def _wait(self) -> None:
        """Wait for the peer's next bytes."""
        if self._reading is None:
            self._reading = Readiness(self._peer.fileno(), self.read, writing=False)
        elif self._is_paused:
            self._reading.go_on(self.read)
            self._is_paused = False

    def _wait_for_rest(self, received: bytes) -> None:
        if not self._begun:
            self._among.begun.add(self)
            self.deadline = time.monotonic() + PIECES_S
        self._begun = received
        self._pieces += 1
        self._wait()

    def _serve(self, request: PlainRequest) -> None:
        if self._begun:
            self._begun, self._pieces = b"", 0
            self._among.begun.discard(self)
        self._is_busy = True
        self._closes = request.closes
        if not self._among.service.begin_plain(request, self._answered):
            greenlets.spawn(self._answer, request)

    def _answer(self, request: PlainRequest) -> None:
        answer = self._among.service.answer_plain(request)
        greenlets.in_loop(partial(self._answered, answer))

    def _answered(self, answer: Answer) -> None:
        if self._among.is_ending:
            self._closes = True
        self._write(response(answer, closes=self._closes))

    def _write(self, rest: bytes) -> None:
        try:
            sent = self._peer.send(rest)
        except LATER:
            sent = 0
        except (OSError, ValueError):  # the peer is gone, or the server has closed the connection
            self._is_busy, self._unsent = False, b""
            self.end()
            return
        if sent < len(rest):
            self._unsent = rest[sent:]
            if self._writing is None:
                self._writing = Readiness(self._peer.fileno(), self._write_more, writing=True)
            return
        self._is_busy = False
        if self._closes:
            self.end()
            return
        self.deadline = time.monotonic() + self._among.idle_s
        if self._reading is None or self._is_paused:
            self._wait()

    def _write_more(self) -> None:
        """Go on with an answer that the kernel did not take whole."""
        rest, self._unsent = self._unsent, b""
        self._write(rest)
        if self._writing is not None and not self._unsent:
            self._writing.close()
            self._writing = None
