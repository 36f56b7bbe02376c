"""TLS on the hub's port: the certificate, and the first bytes of each connection.

`load` runs once at the start, `greet` in each connection's own greenlet: a peer with a slow or
broken handshake delays nobody else.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

GREETING_S: Final = 10.0
"""How long a handshake may take before the hub hangs up; over a LAN it takes 10 ms."""
HANDSHAKE: Final = b"\x16"
"""The first byte of every TLS connection: the record type of a handshake (RFC 8446, 5.1)."""
REQUEST_BYTES: Final = 65536
"""How much of a plain request is read before it is refused: when a connection is closed with bytes
unread, the kernel drops the answer."""


LINGER_S: Final = 2.0
"""A client that reads its answer hangs up long before; one that does not is not waited for."""
LINGER_BYTES: Final = 4 * 1024 * 1024
"""Twice the largest body that anybody may send, the operator with a roster."""


class Context(ssl.SSLContext):
    """A server's context that leaves the handshake to `greet`."""

    def wrap_socket(self, sock: socket.socket, *arguments: Any, **named: Any) -> ssl.SSLSocket:  # noqa: ANN401 - ssl's own
        """The socket with TLS on it, before its handshake."""
        named["do_handshake_on_connect"] = False
        return super().wrap_socket(sock, *arguments, **named)


def load(certificate: Path, key: Path) -> Context:
    """The context of a server with this certificate (with its chain) and key.

    Raises:
        errors.StartupError: one cannot be read, or they do not belong together.
    """
    context = Context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl's errors are OSErrors, too
        raise errors.StartupError(
            f"TLS is not possible with {certificate} and {key}: {error.strerror or error}"
        ) from error
    return context


def greet(client: ssl.SSLSocket, refusal: Callable[[], bytes]) -> bool:
    """Complete a connection's handshake; False when the connection is useless.

    A peer that speaks plain HTTP gets `refusal`, in plain HTTP.
    """
    client.settimeout(GREETING_S)
    try:
        # not by SSLSocket's own methods, which read and write only through TLS
        first = socket.socket.recv(client, 1, socket.MSG_PEEK)
        if first == HANDSHAKE:
            client.do_handshake()
            return True
        if first:
            socket.socket.recv(client, REQUEST_BYTES)
            socket.socket.send(client, refusal())
    except OSError as error:
        logger.warning("TLS with %s failed: %s", _name(client), error.strerror or error)
    return False


def hang_up(peer: socket.socket, how: int) -> None:
    """Shut a connection down, with or without TLS, so that its reader and writer find its end.

    An SSLSocket's own `shutdown` drops TLS: the next bytes would be written in clear.

    Raises:
        OSError: it is gone already.
    """
    with socket.fromfd(peer.fileno(), peer.family, peer.type) as twin:
        twin.shutdown(how)


def linger(peer: socket.socket) -> None:
    """Let a peer that still writes read its answer: what it writes is read and thrown away.

    With bytes unread, the kernel would answer them with a reset, and the peer might lose what it
    has not read yet (RFC 9112, 9.6). Waits until the peer hangs up, for so long and so much at
    most; the caller closes the connection then.
    """
    deadline, left_bytes = time.monotonic() + LINGER_S, LINGER_BYTES
    with contextlib.suppress(OSError):
        hang_up(peer, socket.SHUT_WR)
        while left_bytes > 0 and (left_s := deadline - time.monotonic()) > 0:
            peer.settimeout(left_s)
            piece = socket.socket.recv(peer, REQUEST_BYTES)  # past TLS: nobody looks at it
            if not piece:
                return
            left_bytes -= len(piece)


def _name(client: ssl.SSLSocket) -> str:
    try:
        return str(client.getpeername()[0])
    except OSError:
        return "a peer"
