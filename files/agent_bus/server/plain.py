"""Reads plain POSTs with a C parser: llhttp, the one of Node.js.

It takes one kind of request: a POST to one of a few paths (sends, MCP), small, with nothing behind
it and nothing unusual about it. The bytes of any other request go to gunicorn's parser, which
knows all of HTTP and answers what is wrong. So a doubtful request is never interpreted here, and
never in two ways.

A client sends nearly the same head each time. So what llhttp says of a head is remembered, for all
heads that differ from it in no byte but those of the length's digits and of the idempotency key.
It is found by its digest; only a connection that is open keeps a head itself, its own last one.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import httptools

from agent_bus.bus.auth import digest_of
from agent_bus.core.model import value
from agent_bus.http.call import PlainRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
KEY_NAME: Final = "idempotency-key"
KEY_LEFT_OUT: Final = b"key"
HEADS_KEPT: Final = 512
"""Heads that are remembered, each less than 2 KB. A client that changes another header with each
request pushes others out, which are then read again."""
KNOWN: Final = frozenset({"content-length", "authorization", "connection", "host", "content-type"})
"""Headers that every request may have once."""
UNUSUAL: Final = frozenset({b"transfer-encoding", b"upgrade", b"expect", b"trailer"})
"""Headers about the body's framing or another protocol: gunicorn's business."""
UNUSUAL_START: Final = b"x-forwarded"
"""What proxies say: gunicorn refuses it where it contradicts itself."""
HEADER_LIMIT: Final = 100
NAME_LIMIT_BYTES: Final = 256
NAMES_KEPT: Final = 1024
VALUE_LIMIT_BYTES: Final = 4096
"""Below gunicorn's own limits, so that it is always gunicorn that refuses."""


class Names(dict[bytes, "str | None"]):
    """From a header's name to its lower-case name, for headers that somebody looks at.

    It is empty for other ones, and None for an unusual one. Names are kept as they come: most
    clients send the same few.

    Args:
        headers: those that plain POSTs read.
    """

    def __init__(self, headers: Iterable[Header]) -> None:
        super().__init__()
        self._known = KNOWN | {one.key for one in headers}

    def __missing__(self, name: bytes) -> str | None:
        """Look a name up for the first time."""
        lower = name.lower()
        is_unusual = lower in UNUSUAL or b"_" in lower or lower.startswith(UNUSUAL_START)
        is_long = len(lower) > NAME_LIMIT_BYTES
        text = lower.decode("latin-1")
        key = None if is_unusual or is_long else text if text in self._known else ""
        if len(self) < NAMES_KEPT and not is_long:
            self[name] = key
        return key


@value
class Head:
    """What a head means.

    Attributes:
        headers: those that its route reads; without the key, where that was left out.
        length: what its body has, unless it was remembered for another one.
    """

    target: bytes
    token_sha256: str
    headers: Mapping[str, str]
    closes: bool
    length: int


class Heads:
    """What the heads of all connections mean.

    Args:
        headers: the request targets of plain POSTs, and the headers that their routes read.
    """

    def __init__(self, headers: Mapping[bytes, Sequence[Header]]) -> None:
        self._wanted = {target: {one.key for one in some} for target, some in headers.items()}
        self._names = Names([one for some in headers.values() for one in some])
        self._known: dict[bytes, Head] = {}

    def remembered(self, rest: bytes, whole: bytes, key: bytes | None) -> Head | None:
        """What a head means; None: it is not plain.

        Args:
            rest: the head without its length and `key`.
            whole: the head.
            key: the key that was left out; None: none was.
        """
        # Its digest is kept, not the head: tokens stand in heads. An empty key is none that was
        # left out.
        name = hashlib.sha256(rest if key is None else rest + KEY_LEFT_OUT).digest()
        head = self._known.get(name)
        if head is None:
            head = self.read(whole, is_key_left_out=key is not None)
            if head is None:
                return None
            if len(self._known) >= HEADS_KEPT:
                del self._known[next(iter(self._known))]
            self._known[name] = head
        return head

    def reads_key(self, head: Head) -> bool:
        """Whether a head's route reads idempotency keys."""
        return KEY_NAME in self._wanted[head.target]

    def read(self, whole: bytes, *, is_key_left_out: bool) -> Head | None:
        """What llhttp says of a head; None unless it is plain."""
        reading = _Reading(self._names)
        found = reading.read(whole)
        wanted = self._wanted.get(reading.target)
        if found is None or wanted is None:
            return None
        length, wish = found.get("content-length", ""), found.get("connection", "keep-alive")
        if not DIGITS.fullmatch(length.encode("latin-1")):
            return None
        if wish.lower() not in {"close", "keep-alive"}:
            return None
        if is_key_left_out:
            wanted = wanted - {KEY_NAME}
        return Head(
            reading.target,
            digest_of(found.get("authorization")),
            {name: text for name, text in found.items() if name in wanted},
            wish.lower() == "close",
            int(length),
        )


class PlainReader:
    """Reads one connection's plain POSTs, one after the other.

    Besides what `Heads` remembers, it keeps the connection's own last head as it came, around
    the length: most clients that keep a connection send the same one each time.

    Args:
        address: the peer's.
        peer: the connection.
    """

    __slots__ = ("_address", "_after", "_before", "_head", "_heads", "_peer")

    def __init__(self, heads: Heads, address: str, peer: object) -> None:
        self._heads = heads
        self._address = address
        self._peer = peer
        self._before = self._after = HEAD_END  # no request begins so
        self._head: Head | None = None

    def read(self, received: bytes) -> PlainRequest | bool:
        """The request in all that was received since the last one.

        Returns:
            The request; True when it is not whole yet; False when it is not plain.
        """
        before, head = self._before, self._head
        if head is not None and received.startswith(before):
            begin = len(before)
            end = received.find(b"\r", begin, begin + 6)
            digits = received[begin:end]
            if DIGITS.fullmatch(digits) and received.startswith(self._after, end):
                end += len(self._after)
                if len(received) - end == int(digits):
                    return self._request(head, head.headers, received[end:])
        return self._read_anew(received)

    def _read_anew(self, received: bytes) -> PlainRequest | bool:
        end = received.find(HEAD_END) + len(HEAD_END)
        if end < len(HEAD_END):
            begins = received.startswith(START) or START.startswith(received)
            return begins and len(received) < REQUEST_BYTES
        whole = received[:end]
        before, digits, after = _around(whole, LENGTH_STARTS, DIGITS)
        key = None
        self._head = None
        if digits is None:
            head = self._heads.read(whole, is_key_left_out=False)
        else:
            first, key, second = _around(before + after, KEY_STARTS, KEY)
            head = self._heads.remembered(first + second, whole, key)
            if head is not None and key is None:
                self._before, self._after, self._head = before, after, head
        if head is None:
            return False
        missing = end + (head.length if digits is None else int(digits)) - len(received)
        if missing:
            return 0 < missing <= REQUEST_BYTES - len(received)
        headers = head.headers
        if key is not None and self._heads.reads_key(head):
            headers = {**headers, KEY_NAME: key.decode("ascii")}
        return self._request(head, headers, received[end:])

    def _request(self, head: Head, headers: Mapping[str, str], body: bytes) -> PlainRequest:
        return PlainRequest(
            head.target, head.token_sha256, headers, body, self._address, self._peer, head.closes
        )


def _around(
    head: bytes, starts: tuple[bytes, bytes], allowed: re.Pattern[bytes]
) -> tuple[bytes, bytes | None, bytes]:
    """What stands before the value of a head's first such header, the value, and what follows.

    The head is undivided when it has no such header, or the value has unusual characters.
    """
    for start in starts:
        begin = head.find(start)
        if begin >= 0:
            begin += len(start)
            end = head.find(b"\r", begin)
            value = head[begin:end]
            if not allowed.fullmatch(value):
                break
            return head[:begin], value, head[end:]
    return head, None, b""


class _Reading:
    """One head in llhttp."""

    def __init__(self, names: Names) -> None:
        self.target = b""
        self._names = names
        self._found: dict[str, str] = {}
        self._header_count = 0
        self._is_plain = True
        self._is_whole = False

    def read(self, head: bytes) -> dict[str, str] | None:
        """The headers that somebody looks at; None unless the head is plain."""
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserError:
            return None
        is_plain = (
            self._is_plain
            and self._is_whole
            and head.startswith(START)
            and parser.get_http_version() == "1.1"
            and self._header_count <= HEADER_LIMIT
        )
        return self._found if is_plain else None

    # What the parser calls while it reads.

    def on_url(self, target: bytes) -> None:
        """The request target, or a part of it when it came in parts."""
        self._is_plain = self._is_plain and not self.target
        self.target = target

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._header_count += 1
        key = self._names[name]
        if key is None or key in self._found or len(value) > VALUE_LIMIT_BYTES:
            self._is_plain = False
        elif key:
            self._found[key] = value.decode("latin-1").strip(" \t")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._is_whole = True
