"""Reads plain POSTs with a C parser: llhttp, the one of Node.js.

It takes one kind of request: a POST to one of a few paths (sends, MCP), whole in the bytes of one
read, with nothing unusual about it. The bytes of any other request go to gunicorn's parser, which
knows all of HTTP and answers what is wrong. So a doubtful request is never interpreted here, and
never in two ways.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import httptools

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from wsgiref.types import WSGIEnvironment

    from agent_bus.http.route import Header

START: Final = b"POST /"
ENVIRON_KEYS: Final = {
    b"content-length": "CONTENT_LENGTH",
    b"content-type": "CONTENT_TYPE",
    b"host": "HTTP_HOST",
    b"authorization": "HTTP_AUTHORIZATION",
}
"""Headers that every request may have once, and their names in a WSGI environment."""
UNUSUAL: Final = frozenset(
    {b"transfer-encoding", b"connection", b"upgrade", b"expect", b"trailer"}
)
"""Headers about the connection or the body's framing: gunicorn's business."""
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


class PlainReader:
    """Reads one connection's plain POSTs, one after the other.

    After a `None` it is used up: it has lost its place in what the peer sends.

    Args:
        targets: the request targets that it takes.
        keys: the names of headers in an environment.
        address: the peer's.

    Attributes:
        target: that of the request that was read last.
    """

    __slots__ = (
        "_address", "_begun", "_body", "_environ", "_headers", "_is_plain", "_is_whole", "_keys",
        "_parser", "_targets", "target",
    )  # fmt: skip

    def __init__(self, targets: Collection[bytes], keys: EnvironKeys, *, address: str) -> None:
        self.target = b""
        self._targets = targets
        self._keys = keys
        self._address = address
        self._parser = httptools.HttpRequestParser(self)

    def read(self, received: bytes) -> WSGIEnvironment | None:
        """What an endpoint needs of the request in `received`; None unless it is plain."""
        if not received.startswith(START):
            return None
        self._begun = 0
        self._is_plain, self._is_whole = True, False
        self._headers = 0
        self._body = b""
        self._environ: WSGIEnvironment = {
            "REQUEST_METHOD": "POST",
            "REMOTE_ADDR": self._address,
        }
        try:
            self._parser.feed_data(received)
        except httptools.HttpParserError:
            return None
        environ = self._environ
        if not (self._is_plain and self._is_whole and self._begun == 1):
            return None
        if (
            self._headers > HEADER_LIMIT
            or self._parser.get_http_version() != "1.1"
            or "CONTENT_LENGTH" not in environ
        ):
            return None
        environ["wsgi.input"] = io.BytesIO(self._body)
        return environ

    # What the parser calls while it reads.

    def on_message_begin(self) -> None:
        """A request began: the second one in the same bytes is not plain."""
        self._begun += 1

    def on_url(self, target: bytes) -> None:
        """The request target, or a part of it when it came in parts."""
        self.target = target
        if target not in self._targets:
            self._is_plain = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers += 1
        key = self._keys[name]
        if key is None or key in self._environ or len(value) > VALUE_LIMIT_BYTES:
            self._is_plain = False
        elif key:
            self._environ[key] = value.decode("latin-1").strip(" \t")

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        self._body += part

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._is_whole = True
