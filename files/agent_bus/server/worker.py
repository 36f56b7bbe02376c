"""gunicorn's gevent worker, with four things that it lacks.

It gives up peers that do not take their answers, hangs up idle connections when it ends, lets no
client that always has its next request ready keep the others waiting, and serves plain POSTs,
sends and MCP, in the loop itself, with one read, one write, and a C parser between them.

Each connection begins there (`connection.py`). gunicorn reads a request that is not plain, in a
greenlet; the next one is again looked at in the loop. What a request must pass (authentication,
limits, validation) is the same `Gate` on every way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import math
import signal
import socket
import ssl
import struct
import termios
from typing import TYPE_CHECKING, Any, Final

from gunicorn.http.body import LengthReader
from gunicorn.workers.ggevent import GeventWorker

from agent_bus.core import errors
from agent_bus.http import problem
from agent_bus.http.live import LiveStream
from agent_bus.runtime import greenlets, tls
from agent_bus.runtime.listening import Acceptor, Places
from agent_bus.server.connection import Connections
from agent_bus.server.plain import Heads
from agent_bus.server.response import response

if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterator

HTTP_1_1: Final = (1, 1)
USER_TIMEOUT_FACTOR: Final = 3
"""The kernel gives up a peer that acknowledges or takes nothing for this many write timeouts
(30 s), so that no answer, however large, waits for somebody who is gone."""
GIVEN_UP: Final = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH})
"""How the kernel says so (tcp(7), TCP_USER_TIMEOUT)."""


class HubWorker(GeventWorker):  # type: ignore[misc] # gunicorn ships no type information
    """See the module."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*arguments, **named)
        self._idle: dict[Any, float] = {}
        """Connections that gunicorn reads, without a request under way."""
        self._turns: dict[Any, int] = {}
        """The loop's turn in which each of them had its last request."""
        self._user_timeout_ms = 0  # the kernel's own: 15 minutes and more

    @functools.cached_property
    def _connections(self) -> Connections:
        """Those that the loop serves; made once the application is loaded."""
        return Connections(Heads(self.wsgi.plain_headers), self.wsgi, idle_s=self.cfg.keepalive)

    def limit_writes(self, timeout_s: float) -> None:
        """Give up each peer that takes no bytes for a few of these; set before one connects."""
        self._user_timeout_ms = int(timeout_s * USER_TIMEOUT_FACTOR * 1000)

    def server_class(self, listener: Any, *, spawn: Any, **named: Any) -> Acceptor:  # noqa: ANN401 - gunicorn's own
        """What accepts connections, in place of gevent's own; gunicorn calls it once.

        A connection inherits the listener's options: tcp(7).
        """
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._user_timeout_ms)
        places = Places(spawn.size)
        context = named.get("ssl_context")
        return Acceptor(
            listener,
            places=places,
            opened=functools.partial(self._opened, listener, places),
            handle=functools.partial(self.handle, listener),
            **({} if context is None else {"ssl_context": context}),
        )

    def _opened(self, listener: Any, places: Places, client: _socket.socket, addr: Any) -> None:  # noqa: ANN401 - as above
        """Serve a new connection in the loop, until it ends or sends what is not plain."""

        def leave(received: bytes | None) -> None:
            places.give()
            if received is None:
                client.close()
                return
            descriptor = client.detach()
            peer = socket.socket(client.family, client.type, client.proto, descriptor)
            places.spawn(self._handle, listener, Ahead(peer, received), addr)

        self._connections.serve(client, _address(addr), leave).read()

    def _handle(self, listener: Any, client: Ahead, addr: Any) -> None:  # noqa: ANN401 - as above
        try:
            self.handle(listener, client, addr)
        finally:
            client.close()

    def init_signals(self) -> None:
        """Also ignore what gunicorn's arbiter would take, and what would end a process."""
        super().init_signals()
        for ignored in (signal.SIGHUP, signal.SIGUSR2):
            signal.signal(ignored, signal.SIG_IGN)

    def notify(self) -> None:
        """Nothing: there is no arbiter that waits for it."""

    def handle(self, listener: Any, client: Any, addr: Any) -> None:  # noqa: ANN401 - gunicorn's own
        """Serve one connection in its greenlet until it ends."""
        try:
            listening = _Listening(listener.getsockname())
        except OSError:  # the hub stops, and has closed the listener since it accepted
            return
        if isinstance(client, ssl.SSLSocket):
            if not tls.greet(client, _plain_refusal):
                return
            received = self._serve_plain(client, addr)
            if received is None:
                return
            client = Ahead(client, received)
        self._idle[client] = math.inf  # gunicorn has its own limit
        try:
            super().handle(listening, client, addr)
        finally:
            self._idle.pop(client, None)
            self._turns.pop(client, None)

    def handle_request(self, listener_name: Any, req: Any, sock: Ahead, addr: Any) -> None:  # noqa: ANN401
        """Serve one request of a connection, and the plain POSTs that follow it."""
        self._idle.pop(sock, None)
        self._turns[sock] = greenlets.yield_if_starved(self._turns.get(sock, -1))
        try:
            self._handle_one(listener_name, req, sock, addr)
            if self.alive and _is_done(req):
                received = self._serve_plain(sock.peer, addr)
                if received is None:
                    raise StopIteration  # what ends a connection for gunicorn
                req.unreader.unread(received)
        except OSError as error:
            if not _is_given_up(error):
                raise
            # gunicorn would log it as a defect
            raise BrokenPipeError(errno.EPIPE, "The peer takes no bytes") from error
        finally:
            self._idle[sock] = math.inf

    def _handle_one(self, listener_name: Any, req: Any, sock: Ahead, addr: Any) -> None:  # noqa: ANN401
        """Serve one request by gunicorn's own means."""
        try:
            super().handle_request(listener_name, req, sock.peer, addr)
        except _GoesOnError:
            raise
        except StopIteration:
            if not _is_read(req):
                tls.linger(sock.peer)
            raise

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ANN401
        """Also let a peer whose request is not understood read that, whatever else it writes."""
        super().handle_error(req, client, addr, exc)
        tls.linger(client.peer if isinstance(client, Ahead) else client)

    def is_already_handled(self, respiter: object) -> bool:
        """Let a stream serve its connection itself, which goes on without this greenlet.

        Raises:
            _GoesOnError: it does.
        """
        if isinstance(respiter, LiveStream) and respiter.serve():
            raise _GoesOnError
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
        self._connections.hang_up_idle()
        for client in list(self._idle):
            with contextlib.suppress(OSError):
                tls.hang_up(client, socket.SHUT_RD)

    def tend(self) -> None:
        """End the connections that have been kept alive long enough for their next send."""
        self._connections.tend()

    def cut_writing(self) -> None:
        """End the connections whose peers still have bytes of an answer to take."""
        self._connections.cut_writing()
        for client in [client for client in self._turns if client not in self._idle]:
            with contextlib.suppress(OSError, ValueError):  # it is closed already
                if _unsent_bytes(client):
                    tls.hang_up(client, socket.SHUT_RDWR)

    def _serve_plain(self, peer: Any, addr: Any) -> bytes | None:  # noqa: ANN401 - as above
        """Let the loop serve a connection, while its greenlet waits.

        Returns:
            What was read and is not plain; None: the connection ends.
        """
        waiter: greenlets.Waiter[bytes | None] = greenlets.Waiter()

        def leave(received: bytes | None) -> None:
            greenlets.in_loop(functools.partial(waiter.resolve, received))

        peer.settimeout(0.0)
        connection = self._connections.serve(peer, _address(addr), leave)
        try:
            connection.read()
            return waiter.wait()
        finally:
            connection.stop()
            peer.settimeout(None)


class _GoesOnError(StopIteration):
    """gunicorn's way to leave a connection alone, for one that is served on."""


class Ahead:
    """A socket of which some bytes have been read already, as gunicorn may use it."""

    def __init__(self, peer: Any, received: bytes) -> None:  # noqa: ANN401 - gevent's sockets
        self.peer = peer
        self._received = received

    def recv(self, size: int) -> bytes:
        """Those bytes first, then what the socket has."""
        if not self._received:
            found: bytes = self.peer.recv(size)
            return found
        found, self._received = self._received[:size], self._received[size:]
        return found

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        """All else is the socket's."""
        return getattr(self.peer, name)


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
    if req.version != HTTP_1_1 or req.should_close():
        return False
    ahead = req.unreader.take_buffered()
    req.unreader.unread(ahead)
    return not ahead and _is_read(req)


def _is_read(req: Any) -> bool:  # noqa: ANN401 - as above
    """Whether nothing of a request's body is left to read."""
    body = req.body.reader
    return isinstance(body, LengthReader) and body.length == 0


def _address(addr: Any) -> str:  # noqa: ANN401 - as sockets tell it
    """A peer's address, as far as the kernel knows it."""
    return str(addr[0]) if isinstance(addr, tuple) else ""


def _plain_refusal() -> bytes:
    """What a peer that speaks plain HTTP to the TLS port gets, in clear."""
    return response(problem.answer(errors.TlsRequiredError()))
