"""The peer of a stream: its connection, how HTTP frames what goes there, and two ways to write.

`write_now` is for the loop and never blocks. What the connection does not take at once is kept,
and `write` sends it first, in a greenlet that may wait.
"""

from __future__ import annotations

import contextlib
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from agent_bus.http.call import AnyCall

LAST_CHUNK: Final = b"0\r\n\r\n"
LEFT_BYTES: Final = 65536
"""How much of what a peer sent is read before the end: the kernel drops an answer's last bytes
when a connection is closed with bytes unread."""


class Peer:
    """One peer.

    The connection belongs to the peer from `begin` on: it stays open until `close`, even when the
    server closes it before.

    Args:
        timeout_s: how long a write may take that waits.
    """

    __slots__ = (
        "_connection",
        "_head",
        "_hold",
        "_is_chunked",
        "_protocol",
        "_timeout_s",
        "_unsent",
    )

    def __init__(self, call: AnyCall, *, timeout_s: float) -> None:
        self._connection: socket.socket = call.socket
        self._hold: socket.SocketIO | None = None
        self._protocol = call.protocol
        self._is_chunked = call.protocol != "HTTP/1.0"
        self._timeout_s = timeout_s
        self._head = self._unsent = b""

    def begin(self, headers: Mapping[str, str]) -> None:
        """Take the connection over; the head goes with the first frame."""
        self._hold = self._connection.makefile("rb", 0)
        lines = [f"{name}: {value}" for name, value in headers.items()]
        if self._is_chunked:
            lines.append("Transfer-Encoding: chunked")
        date = formatdate(usegmt=True)
        head = f"{self._protocol} 200 OK\r\nDate: {date}\r\nConnection: close"
        self._head = "\r\n".join([head, *lines, "", ""]).encode("latin-1")

    def write(self, frame: bytes) -> None:
        """Write a frame behind what is unsent; blocks this greenlet.

        Raises:
            OSError: the peer is gone, or takes nothing for too long.
        """
        whole = self._head + self._unsent + self._framed(frame)
        self._head = self._unsent = b""
        self._connection.settimeout(self._timeout_s)
        self._connection.sendall(whole)

    def write_now(self, frame: bytes) -> bool:
        """Write a frame at once; False when a part of it is left for `flush`. Never blocks.

        Raises:
            OSError: the peer is gone.
        """
        whole = self._framed(frame)
        self._connection.settimeout(0.0)
        try:
            sent = self._connection.send(whole)
        except BlockingIOError:  # over TLS, gevent answers 0
            sent = 0
        self._unsent = whole[sent:]
        return not self._unsent

    def flush(self) -> None:
        """Write what is unsent; blocks this greenlet.

        Raises:
            OSError: the peer is gone, or takes nothing for too long.
        """
        if self._unsent:
            self.write(b"")

    def end(self) -> None:
        """Tell the peer that no more comes; blocks this greenlet.

        Raises:
            OSError: the peer is gone, or takes nothing for too long.
        """
        self._unsent += LAST_CHUNK if self._is_chunked else b""
        self.flush()

    def close(self) -> None:
        """Close the connection; harmless when repeated."""
        with contextlib.suppress(OSError):
            self._connection.settimeout(0.0)
            self._connection.recv(LEFT_BYTES)
        if self._hold is not None:
            self._hold.close()
        self._connection.close()

    def _framed(self, frame: bytes) -> bytes:
        if not (self._is_chunked and frame):
            return frame
        return b"%X\r\n%b\r\n" % (len(frame), frame)
