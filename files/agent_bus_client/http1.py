"""HTTP/1.1 over a socket, as little as the hub and a gateway need.

`http.client` alone costs 7 MiB of resident memory, which matters in a process that stays on every
machine. One connection per exchange, no redirects, no proxies, no compression.
Source: RFC 9112. All calls block; use a connection from one thread, `close` from any.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional
from urllib.parse import urlsplit

from agent_bus_client.errors import HttpError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECT_TIMEOUT_S = 5.0
USER_TIMEOUT_MS = 30_000  # unacknowledged data this old means a dead peer
MAX_HEAD_BYTES = 64 * 1024  # a hub's answer has ten short headers
MAX_BODY_BYTES = 64 * 1024 * 1024  # a page of 500 messages with full bodies is 32 MiB
RECV_BYTES = 64 * 1024


@dataclass(frozen=True)
class Origin:
    """Where a server is: the parts of its base address."""

    url: str
    tls: bool
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Origin:
        """Return the parts of `http[s]://host[:port][/prefix]`.

        Raises:
            SettingsError: anything else.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise SettingsError(f"{url!r} is not an address: {error}") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError(f"{url!r} is not an address like http://t440:8091")
        return cls(url, parts.scheme == "https", parts.hostname, port, parts.path.rstrip("/"))


@dataclass(frozen=True)
class Head:
    """Status and headers of an answer; header names are lower case."""

    status: int
    headers: dict[str, str]


@dataclass(frozen=True)
class Response:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse_head(raw: bytes) -> Head:
    """Return the head of an answer; `raw` is everything before the blank line.

    Raises:
        HttpError: it is no HTTP/1.x answer.
    """
    status_line, *lines = raw.decode("iso-8859-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise HttpError(f"not an HTTP/1.1 answer: {status_line[:60]!r}")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Head(int(rest[:3]), headers)


class BodyDecoder:
    """Takes the body of an answer apart, whatever way the bytes arrive; pure.

    `done`: the body's end has been seen. A body without length ends with the connection.
    """

    def __init__(self, head: Head) -> None:
        self.done = head.status in {204, 304}
        self.until_close = False
        self._chunked = "chunked" in head.headers.get("transfer-encoding", "").lower()
        self._left = 0
        self._line: Optional[bytes] = b"" if self._chunked else None
        self._trailer = False
        if not self._chunked and not self.done:
            length = head.headers.get("content-length")
            if length is None:
                self.until_close = True
            elif length.isdigit():
                self._left = int(length)
                self.done = self._left == 0
            else:
                raise HttpError(f"Content-Length is {length[:20]!r}")

    def feed(self, raw: bytes) -> bytes:
        """Return the body bytes in `raw`.

        Raises:
            HttpError: broken chunk framing.
        """
        if self.until_close:
            return raw
        if not self._chunked:
            body = raw[: self._left]
            self._left -= len(body)
            self.done = self._left == 0
            return body
        out = []
        while raw and not self.done:
            if self._line is not None:
                raw = self._size_line(raw)
            else:
                part, raw = raw[: self._left], raw[self._left :]
                out.append(part)
                self._left -= len(part)
                if self._left == 0:
                    self._line = b""
        return b"".join(out)

    def _size_line(self, raw: bytes) -> bytes:
        """Collect one line (size, end of chunk or trailer) and return what follows it."""
        assert self._line is not None
        head, newline, rest = raw.partition(b"\n")
        self._line += head
        if len(self._line) > MAX_HEAD_BYTES:
            raise HttpError("a chunk's size line has no end")
        if not newline:
            return b""
        line, self._line = self._line.strip(b"\r"), b""
        if self._trailer:
            self.done = not line
        elif line:  # the empty line is the end of the chunk before
            try:
                self._left = int(line.partition(b";")[0], 16)
            except ValueError as error:
                raise HttpError(f"chunk size {line[:20]!r}") from error
            self._trailer = self._left == 0
            self._line = b"" if self._trailer else None
        return rest


class Connection:
    """One connection with one exchange on it.

    The constructor raises OSError when nobody answers within `timeout_s`, with TLS also
    SettingsError and UntrustedError, see `tls.secure`.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        ca_file: str | None = None,
        timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self._origin = origin
        self._rest = b""
        plain = socket.create_connection((origin.host, origin.port), timeout=timeout_s)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        self._socket: socket.socket = plain
        if origin.tls:
            from agent_bus_client import tls

            self._socket = tls.secure(plain, origin.host, ca_file)

    def certificate_ends(self) -> float | None:
        """Return when the peer's certificate ends (epoch seconds); None without TLS."""
        if not self._origin.tls:
            return None
        from agent_bus_client import tls

        return tls.ends(self._socket)

    def send(
        self, method: str, path: str, *, headers: dict[str, str], body: bytes | None = None
    ) -> None:
        """Write the request in one piece; `path` begins with a slash and is already encoded."""
        host = f"[{self._origin.host}]" if ":" in self._origin.host else self._origin.host
        lines = [f"{method} {self._origin.prefix}{path} HTTP/1.1"]
        lines.append(f"Host: {host}:{self._origin.port}")
        lines.extend(f"{name}: {value}" for name, value in headers.items())
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        lines.append("Connection: close\r\n\r\n")
        self._socket.sendall("\r\n".join(lines).encode("utf-8") + (body or b""))

    def read_head(self, *, timeout_s: float) -> Head:
        """Return status and headers; interim (1xx) answers are skipped.

        Raises:
            HttpError: no HTTP, a head past its limit, or the peer hung up.
            OSError: nothing for `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            raw, blank, rest = self._rest.partition(b"\r\n\r\n")
            if blank:
                self._rest = rest
                head = parse_head(raw)
                if head.status >= 200:  # noqa: PLR2004 - 1xx is interim, the answer follows
                    return head
                continue
            if len(self._rest) > MAX_HEAD_BYTES:
                raise HttpError("the answer's head has no end")
            more = self._recv(deadline - time.monotonic())
            if not more:
                raise HttpError("hung up before the answer")
            self._rest += more

    def read_body(self, head: Head, *, next_timeout_s: Callable[[], float]) -> Iterator[bytes]:
        """Yield the body's bytes as they arrive.

        `next_timeout_s` is asked before each read: what is left of a deadline, or a constant.

        Raises:
            HttpError: the peer hung up before the end.
            OSError: nothing for too long.
        """
        decoder = BodyDecoder(head)
        raw, self._rest = self._rest, b""
        while True:
            body = decoder.feed(raw)
            if body:
                yield body
            if decoder.done:
                return
            raw = self._recv(next_timeout_s())
            if not raw:
                if decoder.until_close:
                    return
                raise HttpError("hung up in the middle of the answer")

    def close(self) -> None:
        """End the connection; a read in another thread returns at once."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _recv(self, timeout_s: float) -> bytes:
        if timeout_s <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(timeout_s)
        return self._socket.recv(RECV_BYTES)


def exchange(
    origin: Origin,
    method: str,
    path: str,
    *,
    headers: dict[str, str],
    body: bytes | None = None,
    timeout_s: float,
    ca_file: str | None = None,
    sent: list[bool] | None = None,
) -> Response:
    """Run one request on a connection of its own and return the whole answer.

    `sent` gets an element once the request may have reached the peer.

    Raises:
        OSError: nobody answers, or not within `timeout_s`.
        HttpError: the answer is broken, cut or past `MAX_BODY_BYTES`.
    """
    deadline = time.monotonic() + timeout_s
    connect_s = min(timeout_s, CONNECT_TIMEOUT_S)
    connection = Connection(origin, ca_file=ca_file, timeout_s=connect_s)
    try:
        if sent is not None:
            sent.append(True)
        connection.send(method, path, headers=headers, body=body)
        head = connection.read_head(timeout_s=deadline - time.monotonic())
        body = read_all(connection, head, deadline=deadline)
        return Response(head.status, head.headers, body)
    finally:
        connection.close()


def read_all(connection: Connection, head: Head, *, deadline: float) -> bytes:
    """Return the whole body.

    Raises:
        HttpError: it is cut, or past `MAX_BODY_BYTES`.
        OSError: the deadline (monotonic) has passed.
    """
    parts, size = [], 0
    for part in connection.read_body(head, next_timeout_s=lambda: deadline - time.monotonic()):
        parts.append(part)
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise HttpError(f"the answer is larger than {MAX_BODY_BYTES} bytes")
    return b"".join(parts)
