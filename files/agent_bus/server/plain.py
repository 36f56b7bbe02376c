"""Reads plain POSTs with a C parser: llhttp, the one of Node.js.

It takes one kind of request: a POST to one of a few paths (sends, MCP), small, with nothing behind
it and nothing unusual about it. The bytes of any other request go to gunicorn's parser, which
knows all of HTTP and answers what is wrong. So a doubtful request is never interpreted here, and
never in two ways.

A client sends nearly the same head each time. So what llhttp says of a head is remembered, for all
heads that differ from it in no byte but those of the length's digits and of the idempotency key.
It is found by its digest; the head itself is not kept, because tokens stand in heads.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import httptools

from agent_bus.bus.auth import digest_of
from agent_bus.core.model import value
from agent_bus.http.gate import BODY, TOKEN_SHA256

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from wsgiref.types import WSGIEnvironment

    from agent_bus.http.route import Header

REQUEST_BYTES: Final = 16_384
"""A larger request is not plain: gunicorn reads it. One TLS record has as much."""
START: Final = b"POST /"
HEAD_END: Final = b"\r\n\r\n"
LENGTH_STARTS: Final = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
KEY_STARTS: Final = (b"\r\nIdempotency-Key: ", b"\r\nidempotency-key: ")
"""How clients write the headers whose values are not remembered."""
DIGITS: Final = re.compile(rb"[1-9][0-9]{0,4}")
KEY: Final = re.compile(rb"[!-~]{1,255}")
KEY_LEFT_OUT: Final = b"key"
HEADS_KEPT: Final = 512
"""Heads that are remembered, each less than 2 KB. A client that changes another header with each
request pushes others out, which are then read again."""
ENVIRON_KEYS: Final = {
    b"content-length": "CONTENT_LENGTH",
    b"content-type": "CONTENT_TYPE",
    b"host": "HTTP_HOST",
    b"authorization": "HTTP_AUTHORIZATION",
    b"connection": "HTTP_CONNECTION",
}
"""Headers that every request may have once, and their names in a WSGI environment."""
UNUSUAL: Final = frozenset({b"transfer-encoding", b"upgrade", b"expect", b"trailer"})
"""Headers about the body's framing or another protocol: gunicorn's business."""
UNUSUAL_START: Final = b"x-forwarded"
"""What proxies say: gunicorn refuses it where it contradicts itself."""
HEADER_LIMIT: Final = 100
NAME_LIMIT_BYTES: Final = 256
NAMES_KEPT: Final = 1024
VALUE_LIMIT_BYTES: Final = 4096
"""Below gunicorn's own limits, so that it is always gunicorn that refuses."""


class EnvironKeys(dict[bytes, "str | None"]):
    """From a header's name to its name in a WSGI environment.

    It is empty for a header that nobody looks at, and None for an unusual one. Names are kept as
    they come: most clients send the same few.

    Args:
        headers: those that such a POST reads.
    """

    def __init__(self, headers: Iterable[Header]) -> None:
        super().__init__()
        self._known = ENVIRON_KEYS | {one.key.encode(): one.environ for one in headers}

    def __missing__(self, name: bytes) -> str | None:
        """Look a name up for the first time."""
        lower = name.lower()
        is_unusual = lower in UNUSUAL or b"_" in lower or lower.startswith(UNUSUAL_START)
        is_long = len(lower) > NAME_LIMIT_BYTES
        key = None if is_unusual or is_long else self._known.get(lower, "")
        if len(self) < NAMES_KEPT and not is_long:
            self[name] = key
        return key


@value
class Request:
    """A plain POST, whole.

    Attributes:
        target: its path.
        environ: what an endpoint needs of it.
        closes: whether it is the connection's last one.
    """

    target: bytes
    environ: WSGIEnvironment
    closes: bool


@value
class Head:
    """What a head means.

    Attributes:
        target: the path.
        environ: what an endpoint needs of it, without the length, and with the token's digest
            in place of the token.
        closes: whether the connection ends with it.
        length: what its body has, unless it was remembered for another one.
    """

    target: bytes
    environ: WSGIEnvironment
    closes: bool
    length: int


class PlainReader:
    """Reads the plain POSTs of all connections.

    Args:
        targets: the request targets that it takes.
        keys: the names of headers in an environment.
    """

    def __init__(self, targets: Collection[bytes], keys: EnvironKeys) -> None:
        self._targets = targets
        self._keys = keys
        self._heads: dict[bytes, Head] = {}

    def read(self, received: bytes, address: str) -> Request | bool:
        """The request in all that was received since the last one.

        Returns:
            The request; True when it is not whole yet; False when it is not plain.
        """
        end = received.find(HEAD_END) + len(HEAD_END)
        if end < len(HEAD_END):
            begins = received.startswith(START) or START.startswith(received)
            return begins and len(received) < REQUEST_BYTES
        found = self._head(received[:end])
        if found is None:
            return False
        head, length, key = found
        missing = end + length - len(received)
        if missing:
            return 0 < missing <= REQUEST_BYTES - len(received)
        environ = head.environ.copy()
        environ["REMOTE_ADDR"] = address
        environ[BODY] = received[end:]
        if key is not None:
            environ["HTTP_IDEMPOTENCY_KEY"] = key.decode("ascii")
        return Request(head.target, environ, head.closes)

    def _head(self, whole: bytes) -> tuple[Head, int, bytes | None] | None:
        """A head, its length, and its key if that was left out; None unless it is plain."""
        rest, digits = _without(whole, LENGTH_STARTS, DIGITS)
        if digits is None:
            head = self._read(whole)
            return None if head is None else (head, head.length, None)
        rest, key = _without(rest, KEY_STARTS, KEY)
        # An empty key is none that was left out.
        name = hashlib.sha256(rest if key is None else rest + KEY_LEFT_OUT).digest()
        head = self._heads.get(name)
        if head is None:
            head = self._read(whole)
            if head is None:
                return None
            if key is not None:
                del head.environ["HTTP_IDEMPOTENCY_KEY"]
            if len(self._heads) >= HEADS_KEPT:
                del self._heads[next(iter(self._heads))]
            self._heads[name] = head
        return head, int(digits), key

    def _read(self, whole: bytes) -> Head | None:
        return _Reading(self._targets, self._keys).read(whole)


def _without(
    head: bytes, starts: tuple[bytes, bytes], allowed: re.Pattern[bytes]
) -> tuple[bytes, bytes | None]:
    """A head without the value of its first such header, and the value.

    The head stays as it is when it has no such header, or the value has unusual characters.
    """
    for start in starts:
        begin = head.find(start)
        if begin >= 0:
            begin += len(start)
            end = head.find(b"\r", begin)
            value = head[begin:end]
            if not allowed.fullmatch(value):
                break
            return head[:begin] + head[end:], value
    return head, None


class _Reading:
    """One head in llhttp."""

    def __init__(self, targets: Collection[bytes], keys: EnvironKeys) -> None:
        self._targets = targets
        self._keys = keys
        self._target = b""
        self._environ: WSGIEnvironment = {"REQUEST_METHOD": "POST"}
        self._header_count = 0
        self._is_plain = True
        self._is_whole = False

    def read(self, head: bytes) -> Head | None:
        """What the head says; None unless it is plain."""
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserError:
            return None
        environ = self._environ
        length = str(environ.pop("CONTENT_LENGTH", ""))
        wish = str(environ.pop("HTTP_CONNECTION", "keep-alive")).lower()
        is_plain = (
            self._is_plain
            and self._is_whole
            and head.startswith(START)
            and parser.get_http_version() == "1.1"
            and self._header_count <= HEADER_LIMIT
            and DIGITS.fullmatch(length.encode("latin-1")) is not None
            and wish in {"close", "keep-alive"}
        )
        if not is_plain:
            return None
        environ[TOKEN_SHA256] = digest_of(environ.pop("HTTP_AUTHORIZATION", None))
        return Head(self._target, environ, wish == "close", int(length))

    # What the parser calls while it reads.

    def on_url(self, target: bytes) -> None:
        """The request target, or a part of it when it came in parts."""
        self._target = target
        if target not in self._targets:
            self._is_plain = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._header_count += 1
        key = self._keys[name]
        if key is None or key in self._environ or len(value) > VALUE_LIMIT_BYTES:
            self._is_plain = False
        elif key:
            self._environ[key] = value.decode("latin-1").strip(" \t")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._is_whole = True
