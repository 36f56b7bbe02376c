"""A minimal keep-alive HTTP client and event-stream reader on asyncio, for the HTTP peers.

Both are asyncio protocols, not streams, so that the client leaves the server a whole core. They
rely on what the measured servers send (a Content-Length, or chunks of whole lines) and suit
nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

LENGTH = b"content-length: "
HOST = "127.0.0.1"


class HttpSender(asyncio.Protocol):
    """One connection that posts messages and waits for each answer; `trust` is for TLS."""

    def __init__(
        self, port: int, *, token: str, sender: str, trust: ssl.SSLContext | None = None
    ) -> None:
        self._port = port
        self._trust = trust
        self._head = (
            f"POST /send HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\n"
        ).encode()
        self.agent = sender
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = b""

    async def send(self, to: str | Sequence[str] | None, body: str) -> None:
        """Post one message; anything but 201 is an error."""
        await self.post({"from": self.agent, "body": body, **({} if to is None else {"to": to})})

    async def post(self, fields: dict[str, Any]) -> bytes:
        """Post a message with these fields; the answer's body."""
        payload = json.dumps(fields).encode()
        head = b"%s%sContent-Length: %d\r\n\r\n" % (self._head, self.headers(), len(payload))
        return await self.request(head + payload, 201)

    def headers(self) -> bytes:
        """More headers for the next message, each with its line end."""
        return b""

    async def request(self, request: bytes, wanted: int) -> bytes:
        """Send raw bytes and read one answer with a Content-Length."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            await loop.create_connection(lambda: self, HOST, self._port, ssl=self._trust)
        assert self._transport is not None
        self._answer = loop.create_future()
        self._transport.write(request)
        status, body = await self._answer
        if status != wanted:
            raise RuntimeError(f"{status}: {body.decode()}")
        return body

    async def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Take bytes until the answer is whole."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or self._answer is None:
            return
        lower = head.lower()
        start = lower.index(LENGTH) + len(LENGTH)
        length = int(lower[start:].partition(b"\r\n")[0])
        if len(body) >= length and not self._answer.done():
            self._received = body[length:]
            self._answer.set_result((int(head[9:12]), body[:length]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail who waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the server hung up"))


class HttpStream(asyncio.Protocol):
    """One open event stream; every message's body goes to `arrived`."""

    def __init__(self, request: bytes, arrived: Callable[[str], None]) -> None:
        self._request = request
        self._arrived = arrived
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head: bytes | None = None
        self._pending = b""

    @classmethod
    async def open(
        cls,
        port: int,
        path: str,
        *,
        token: str,
        arrived: Callable[[str], None],
        last_id: str = "",
        trust: ssl.SSLContext | None = None,
    ) -> HttpStream:
        """Connect, and return when the first bytes of the answer's body are there."""
        cursor = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        request = (
            f"GET {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n{cursor}\r\n"
        )
        stream = cls(request.encode(), arrived)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: stream, HOST, port, ssl=trust)
        await stream._opened
        return stream

    async def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()
        await asyncio.sleep(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take lines as they become whole; chunk sizes between them are lines, too."""
        if self._head is None:
            self._pending += data
            head, end, data = self._pending.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 200 " not in head.split(b"\r\n")[0] + b" ":
                self._opened.set_exception(RuntimeError(head.decode()))
                return
            self._head, self._pending = head, b""
        if data and not self._opened.done():
            self._opened.set_result(None)
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                event: dict[str, Any] = json.loads(line[6:])
                if event.get("to_agent"):
                    self._arrived(event["body"])

    def connection_lost(self, exc: Exception | None) -> None:
        """Let nobody wait for a stream that will not begin."""
        if not self._opened.done():
            with contextlib.suppress(asyncio.InvalidStateError):
                self._opened.set_exception(exc or ConnectionResetError("the server hung up"))
