"""gunicorn's gevent worker, with two things that it lacks.

It hangs up idle connections when it ends, and it answers plain sends without building a whole
WSGI environment and with a single write, which halves what gunicorn spends on them.

gunicorn parses every request; nothing here reads HTTP from a socket. What a send must pass
(authentication, limits, validation) is the same `Gate` as on every other way.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Final

from gunicorn.util import http_date
from gunicorn.workers.ggevent import GeventWorker

from agent_bus import errors, tls
from agent_bus.web import problem
from agent_bus.web.wsgi import READ_HEADERS, STATUS_LINES, encode

if TYPE_CHECKING:
    from agent_bus.web.http import Answer

HTTP_1_1: Final = (1, 1)
ENVIRON_KEYS: Final = {
    "CONTENT-LENGTH": "CONTENT_LENGTH",
    "AUTHORIZATION": "HTTP_AUTHORIZATION",
    **{name.upper(): key for name, key in READ_HEADERS.items()},
}
"""The request headers that an endpoint can see, and their names in a WSGI environment."""
UNUSUAL: Final = frozenset({"TRANSFER-ENCODING", "CONNECTION", "UPGRADE", "EXPECT"})
"""Requests with these take gunicorn's own way."""


class HubWorker(GeventWorker):  # type: ignore[misc] # gunicorn ships no type information
    """See the module."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*arguments, **named)
        self._idle: set[socket.socket] = set()

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:  # noqa: ANN401
        """Serve one connection until it ends."""
        if isinstance(client, ssl.SSLSocket) and not tls.greet(client, _plain_refusal):
            return
        self._idle.add(client)
        try:
            super().handle(listener, client, addr)
        finally:
            self._idle.discard(client)

    def handle_request(self, listener_name: Any, req: Any, sock: socket.socket, addr: Any) -> Any:  # noqa: ANN401
        """Serve one request of a connection."""
        self._idle.discard(sock)
        try:
            environ = self._plain_send(req, addr)
            if environ is None:
                return super().handle_request(listener_name, req, sock, addr)
            _write(sock, _response(self.wsgi.answer_send(environ)))
            return True
        except TimeoutError as error:  # a slow stream's; gunicorn would log it as a defect
            raise BrokenPipeError(errno.EPIPE, "The peer takes no bytes") from error
        finally:
            self._idle.add(sock)

    def hang_up_idle(self) -> None:
        """End the connections that have no request under way.

        gunicorn's own shutdown waits for them like for requests, so that one kept-alive client
        would burn the whole graceful timeout while nobody can connect.
        """
        for client in list(self._idle):
            with contextlib.suppress(OSError):
                tls.hang_up(client, socket.SHUT_RD)

    def _plain_send(self, req: Any, addr: Any) -> dict[str, Any] | None:  # noqa: ANN401
        """What an endpoint needs of a plain send; None for every other request."""
        if req.method != "POST" or req.query or not self.wsgi.is_send(req.path):
            return None
        if req.version != HTTP_1_1 or not self.alive:
            return None
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "REMOTE_ADDR": addr[0] if isinstance(addr, tuple) else "",
            "wsgi.input": req.body,
        }
        for name, value in req.headers:
            key = ENVIRON_KEYS.get(name)
            if name in UNUSUAL or (key is not None and key in environ):
                return None
            if key is not None:
                environ[key] = value
        return environ if "CONTENT_LENGTH" in environ else None


def _write(sock: socket.socket, response: bytes) -> None:
    """`send` takes nearly every response whole; `sendall` would ask for buffer sizes first."""
    sent = sock.send(response)
    if sent < len(response):
        sock.sendall(response[sent:])


def _response(answer: Answer) -> bytes:
    """A whole response, for one write to the socket."""
    payload = encode(answer)
    now = int(time.time())
    headers = {"Date": _http_date(now), "Content-Type": "application/json", **answer.headers}
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = f"HTTP/1.1 {STATUS_LINES[answer.status]}\r\n{''.join(lines)}"
    return f"{head}Content-Length: {len(payload)}\r\n\r\n".encode("latin-1") + payload


@functools.lru_cache(maxsize=2)
def _http_date(at: int) -> str:
    """An HTTP date, made once a second."""
    return str(http_date(at))


def _plain_refusal() -> bytes:
    """What a peer that speaks plain HTTP to the TLS port gets, in clear."""
    return _response(problem.answer(errors.TlsRequiredError()))
