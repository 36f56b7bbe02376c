"""gunicorn's gevent worker, with four things that it lacks.

It gives up peers that do not take their answers, hangs up idle connections when it ends, lets no
client that always has its next request ready keep the others waiting, and answers the POSTs that
follow each other on a connection, sends and MCP, with one read, one write, and a C parser between
them.

gunicorn accepts every connection and reads its first request, and takes over again whenever a
request is not plain. What a request must pass (authentication, limits, validation) is the same
`Gate` as on every other way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import math
import socket
import ssl
import struct
import termios
import time
from typing import TYPE_CHECKING, Any, Final

from gunicorn.http.body import LengthReader
from gunicorn.util import http_date
from gunicorn.workers.ggevent import GeventWorker

from agent_bus.core import errors
from agent_bus.http import problem
from agent_bus.http.application import STATUS_LINES, encode
from agent_bus.http.live import LiveStream
from agent_bus.runtime import greenlets, tls
from agent_bus.server.plain import EnvironKeys, PlainReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_bus.http.call import Answer

HTTP_1_1: Final = (1, 1)
RECEIVED_BYTES: Final = 16_384
"""Read at once. A request that does not fit is not plain: gunicorn reads it."""
USER_TIMEOUT_FACTOR: Final = 3
"""The kernel gives up a peer that acknowledges or takes nothing for this many write timeouts
(30 s), so that no answer, however large, waits for somebody who is gone."""
GIVEN_UP: Final = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH})
"""How the kernel says so (tcp(7), TCP_USER_TIMEOUT)."""


class HubWorker(GeventWorker):  # type: ignore[misc] # gunicorn ships no type information
    """See the module."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*arguments, **named)
        self._idle: dict[socket.socket, float] = {}
        """Connections without a request under way, and until when they may stay so."""
        self._turns: dict[socket.socket, int] = {}
        """The loop's turn in which each connection had its last request."""
        self._user_timeout_ms = 0  # the kernel's own: 15 minutes and more

    @functools.cached_property
    def _environ_keys(self) -> EnvironKeys:
        """Which headers of a plain POST are looked at; known once the application is loaded."""
        return EnvironKeys(self.wsgi.plain_headers)

    def limit_writes(self, timeout_s: float) -> None:
        """Give up each peer that takes no bytes for a few of these; set before one connects."""
        self._user_timeout_ms = int(timeout_s * USER_TIMEOUT_FACTOR * 1000)

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:  # noqa: ANN401
        """Serve one connection until it ends."""
        try:
            listening = _Listening(listener.getsockname())
        except OSError:  # the hub stops, and has closed the listener since it accepted
            return
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._user_timeout_ms)
        if isinstance(client, ssl.SSLSocket) and not tls.greet(client, _plain_refusal):
            return
        self._idle[client] = math.inf  # gunicorn has its own limit
        try:
            super().handle(listening, client, addr)
        finally:
            self._idle.pop(client, None)
            self._turns.pop(client, None)

    def handle_request(self, listener_name: Any, req: Any, sock: socket.socket, addr: Any) -> None:  # noqa: ANN401
        """Serve one request of a connection, and the plain POSTs that follow it."""
        self._idle.pop(sock, None)
        self._turns[sock] = greenlets.yield_if_starved(self._turns.get(sock, -1))
        try:
            super().handle_request(listener_name, req, sock, addr)
            if self.alive and _is_done(req):
                self._serve_plain(req, sock, addr)
        except OSError as error:
            if not _is_given_up(error):
                raise
            # gunicorn would log it as a defect
            raise BrokenPipeError(errno.EPIPE, "The peer takes no bytes") from error
        finally:
            self._idle[sock] = math.inf

    def is_already_handled(self, respiter: object) -> bool:
        """Let a stream serve its connection itself, which goes on without this greenlet.

        Raises:
            StopIteration: it does; gunicorn's way to leave a connection alone.
        """
        if isinstance(respiter, LiveStream) and respiter.serve():
            raise StopIteration
        return False

    @contextlib.contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """How long gunicorn waits for a request; the kernel may give the peer up before."""
        with super().timeout_ctx():
            try:
                yield
            except OSError as error:
                if not _is_given_up(error):
                    raise

    def hang_up_idle(self) -> None:
        """End the connections that have no request under way.

        gunicorn's own shutdown waits for them like for requests, so that one kept-alive client
        would burn the whole graceful timeout while nobody can connect.
        """
        self._hang_up(math.inf)

    def hang_up_overdue(self) -> None:
        """End the connections that have been kept alive long enough for their next send."""
        self._hang_up(time.monotonic())

    def cut_writing(self) -> None:
        """End the connections whose peers still have bytes of an answer to take."""
        for client in [client for client in self._turns if client not in self._idle]:
            with contextlib.suppress(OSError, ValueError):  # it is closed already
                if _unsent_bytes(client):
                    tls.hang_up(client, socket.SHUT_RDWR)

    def _hang_up(self, now: float) -> None:
        for client in [client for client, until in self._idle.items() if until <= now]:
            with contextlib.suppress(OSError):
                tls.hang_up(client, socket.SHUT_RD)

    def _serve_plain(self, req: Any, sock: socket.socket, addr: Any) -> None:  # noqa: ANN401
        """Answer plain POSTs; any other request goes back to gunicorn unchanged."""
        address = addr[0] if isinstance(addr, tuple) else ""
        reader = PlainReader(self.wsgi.plain_targets, self._environ_keys, address=address)
        turn = self._turns[sock]
        readable = greenlets.Readable(sock.fileno())
        try:
            while self.alive:
                self._idle[sock] = time.monotonic() + self.cfg.keepalive
                if isinstance(sock, ssl.SSLSocket):  # it may have bytes that came already
                    turn = greenlets.yield_if_starved(turn)
                else:
                    readable.wait()
                received = sock.recv(RECEIVED_BYTES)
                environ = reader.read(received)
                if environ is None:
                    req.unreader.unread(received)
                    return
                self._idle.pop(sock, None)
                environ["agent_bus.socket"] = sock
                _write(sock, _response(self.wsgi.answer_plain(reader.target, environ)))
        finally:
            readable.close()


class _Listening:
    """What gunicorn asks of a listener for each connection.

    It asks after the TLS handshake, when a hub that stops may have closed the listener.
    """

    def __init__(self, name: Any) -> None:  # noqa: ANN401 - as of any socket
        self._name = name

    def getsockname(self) -> Any:  # noqa: ANN401
        """Where it listened."""
        return self._name


def _is_given_up(error: OSError) -> bool:
    """Whether a peer took nothing for too long, by a stream's limit or the kernel's."""
    return isinstance(error, TimeoutError) or error.errno in GIVEN_UP


def _unsent_bytes(sock: socket.socket) -> int:
    """Bytes that the kernel still holds for the peer (SIOCOUTQ, tcp(7)).

    Raises:
        OSError: it is no connection any more.
        ValueError: it is closed.
    """
    counted = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", counted)[0])


def _is_done(req: Any) -> bool:  # noqa: ANN401 - gunicorn's request
    """Whether the connection stays open and stands at the start of the next request."""
    body = req.body.reader
    if req.version != HTTP_1_1 or req.should_close():
        return False
    ahead = req.unreader.take_buffered()
    req.unreader.unread(ahead)
    return not ahead and isinstance(body, LengthReader) and body.length == 0


def _write(sock: socket.socket, response: bytes) -> None:
    """`send` takes nearly every response whole; `sendall` would ask for buffer sizes first."""
    sent = sock.send(response)
    if sent < len(response):
        sock.sendall(response[sent:])


def _response(answer: Answer) -> bytes:
    """A whole response, for one write to the socket."""
    payload = encode(answer)
    head = _head(answer.status, int(time.time()))
    if payload and "Content-Type" not in answer.headers:
        head += "Content-Type: application/json\r\n"
    for name, value in answer.headers.items():
        head += f"{name}: {value}\r\n"
    return f"{head}Content-Length: {len(payload)}\r\n\r\n".encode("latin-1") + payload


@functools.lru_cache(maxsize=64)
def _head(status: int, at: int) -> str:
    """What all answers of a second begin with."""
    return f"HTTP/1.1 {STATUS_LINES[status]}\r\nDate: {http_date(at)}\r\n"


def _plain_refusal() -> bytes:
    """What a peer that speaks plain HTTP to the TLS port gets, in clear."""
    return _response(problem.answer(errors.TlsRequiredError()))
