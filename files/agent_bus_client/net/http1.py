"""HTTP/1.1 over a socket: as much of it as the hub and a gateway need.

`http.client` alone costs 7 MiB of resident memory, which matters in a process that runs on every
machine. One connection per exchange, no redirects, no proxies, no compression.
Source: RFC 9112. All calls block; use a connection from one thread, `close` from any.
"""

from __future__ import annotations

import _socket as socket  # without the module above it: decision 60

from agent_bus_client.errors import HttpError, SettingsError
from agent_bus_client.net import dial
from agent_bus_client.net.dial import Dialer
from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Optional

    from agent_bus_client.net.deadline import Deadline

HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")
UNRESERVED = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
)  # RFC 3986, 2.3
MAX_PORT = 65535
MAX_HEAD_BYTES = 64 * 1024  # a hub's answer has ten short headers
MAX_BODY_BYTES = 64 * 1024 * 1024  # a page of 500 messages with full bodies is 32 MiB
RECV_BYTES = 64 * 1024


class Origin(Record):
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
        plain = _plain(url)
        if plain:
            return plain
        from urllib.parse import urlsplit  # a tenth of the command line's start

        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise SettingsError(f"{url!r} is not an address: {error}") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError(f"{url!r} is not an address like http://t440:8091")
        return cls(url, parts.scheme == "https", parts.hostname, port, parts.path.rstrip("/"))


def _plain(url: str) -> Origin | None:
    """Return the parts of a plain `http[s]://host:port`, as nearly all are; else None."""
    scheme, _, rest = url.partition("://")
    host, _, port = rest.partition(":")
    if scheme not in {"http", "https"} or not HOST.issuperset(host) or not host:
        return None
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= MAX_PORT):
        return None
    return Origin(url, scheme == "https", host, int(port), "")


class Head(Record):
    """Status and headers of an answer; header names are lower case."""

    status: int
    headers: dict[str, str]


class Response(Record):
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
    """Decodes the body of an answer, however the bytes are split; pure.

    `done`: the end of the body has been seen. A body without a length ends with the connection.
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
        """Collect one line (size, end of a chunk, trailer) and return what follows it."""
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


class Server:
    """A server as its clients see it: base address, CA, and which address answered last.

    Any thread may use it.
    """

    def __init__(self, url: str, *, ca_file: str | None = None) -> None:
        self.origin = Origin.parse(url)
        self.dialer = Dialer(self.origin.host, self.origin.port)
        self._ca_file = ca_file

    def connect(self, deadline: Deadline, *, within_s: float | None = None) -> socket.socket:
        """Return a connected socket, with TLS if the address says https.

        `within_s` is for the connection alone, without TLS, where that has less time.

        Raises:
            NotConnectedError: no address accepted a connection; nothing was sent.
            SettingsError, UntrustedError: see `tls.secure`.
            OSError: the handshake failed, or the deadline has passed.
        """
        connected_by = deadline if within_s is None else deadline.within(within_s)
        plain = self.dialer.connect(connected_by)
        if not self.origin.tls:
            return plain
        from agent_bus_client.net import tls

        return tls.secure(plain, self.origin.host, self._ca_file, deadline)


class Connection:
    """One connection with one exchange on it; the constructor raises as `Server.connect` does.

    Everything up to the head of the answer has to be done by the deadline.
    """

    def __init__(
        self, server: Server, deadline: Deadline, *, connect_s: float | None = None
    ) -> None:
        self._origin = server.origin
        self._deadline = deadline
        self._rest = b""
        self._socket = server.connect(deadline, within_s=connect_s)

    def certificate_ends(self) -> float | None:
        """Return when the peer's certificate ends (epoch seconds); None without TLS."""
        if not self._origin.tls:
            return None
        from agent_bus_client.net import tls

        return tls.ends(self._socket)

    def notice_death(self, within_s: int) -> None:
        """End when the peer's kernel has acknowledged nothing for this time."""
        dial.notice_death(self._socket, within_s)

    def send(
        self, method: str, path: str, *, headers: dict[str, str], body: bytes | None = None
    ) -> None:
        """Write the request; `path` begins with a slash and is encoded already.

        Raises:
            OSError: the connection broke, or the deadline has passed.
        """
        host = f"[{self._origin.host}]" if ":" in self._origin.host else self._origin.host
        lines = [f"{method} {self._origin.prefix}{path} HTTP/1.1"]
        lines.append(f"Host: {host}:{self._origin.port}")
        lines.extend(f"{name}: {value}" for name, value in headers.items())
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        lines.append("Connection: close\r\n\r\n")
        left = memoryview("\r\n".join(lines).encode("utf-8") + (body or b""))
        while left:  # with TLS, sendall would allow each part the whole time
            self._socket.settimeout(self._deadline.require_s())
            left = left[self._socket.send(left) :]

    def read_head(self) -> Head:
        """Return status and headers; interim (1xx) answers are skipped.

        Raises:
            HttpError: no HTTP, a head past its limit, or the peer hung up.
            OSError: the connection broke, or the deadline has passed.
        """
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
            more = self._recv(self._deadline.left_s())
            if not more:
                raise HttpError("hung up before the answer")
            self._rest += more

    def read_body(self, head: Head, *, next_timeout_s: Callable[[], float]) -> Iterator[bytes]:
        """Yield the body's bytes as they arrive.

        `next_timeout_s` is called before each read: it returns what is left of a deadline, or a
        constant.

        Raises:
            HttpError: the peer hung up before the end.
            OSError: nothing arrived for too long.
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
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def _recv(self, timeout_s: float) -> bytes:
        if timeout_s <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(timeout_s)
        return self._socket.recv(RECV_BYTES)


def exchange(
    server: Server,
    method: str,
    path: str,
    *,
    headers: dict[str, str],
    body: bytes | None = None,
    deadline: Deadline,
    connect_s: float | None = None,
    sent: list[bool] | None = None,
    opened: Callable[[Connection], None] | None = None,
) -> Response:
    """Run one request on a connection of its own and return the whole answer.

    `connect_s` is how long the connection may take; `sent` gets an element once the request may
    have reached the peer. `opened` gets the connection, which another thread may then close.

    Raises:
        OSError: the connection broke, or the deadline passed before the end.
        HttpError: the answer is broken, cut or past `MAX_BODY_BYTES`; `NotConnectedError` when
            no address of the server accepted a connection.
    """
    connection = Connection(server, deadline, connect_s=connect_s)
    try:
        if opened is not None:
            opened(connection)
        if sent is not None:
            sent.append(True)
        connection.send(method, path, headers=headers, body=body)
        head = connection.read_head()
        body = read_all(connection, head, deadline=deadline)
        return Response(head.status, head.headers, body)
    finally:
        connection.close()


def read_all(connection: Connection, head: Head, *, deadline: Deadline) -> bytes:
    """Return the whole body.

    Raises:
        HttpError: it is cut, or past `MAX_BODY_BYTES`.
        OSError: the deadline has passed.
    """
    parts, size = [], 0
    for part in connection.read_body(head, next_timeout_s=deadline.left_s):
        parts.append(part)
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise HttpError(f"the answer is larger than {MAX_BODY_BYTES} bytes")
    return b"".join(parts)


def quoted(text: object) -> str:
    """Return the text as one segment of a path or one value of a query."""
    raw = str(text).encode("utf-8", "replace")
    return "".join(chr(byte) if byte in UNRESERVED else f"%{byte:02X}" for byte in raw)
