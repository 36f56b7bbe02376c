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
    from collections.abc import Callable

LENGTH = b"content-length: "


class HttpSender(asyncio.Protocol):
    """One connection that posts messages and waits for each answer."""

    def __init__(self, port: int, *, token: str, sender: str) -> None:
        self._port = port
        self._head = (
            f"POST /send HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._sender = sender
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = b""

    async def send(self, to: str | None, body: str) -> None:
        """Post one message; anything but 201 is an error."""
        fields = {"from": self._sender, "body": body, **({} if to is None else {"to": to})}
        payload = json.dumps(fields).encode()
        await self.request(self._head + b"%d\r\n\r\n" % len(payload) + payload, 201)

    async def request(self, request: bytes, wanted: int) -> bytes:
        """Send raw bytes and read one answer with a Content-Length."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)
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
        cls, port: int, path: str, *, token: str, arrived: Callable[[str], None], last_id: str = ""
    ) -> HttpStream:
        """Connect, and return when the first bytes of the answer's body are there."""
        cursor = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        request = (
            f"GET {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n{cursor}\r\n"
        )
        stream = cls(request.encode(), arrived)
        await asyncio.get_running_loop().create_connection(lambda: stream, "127.0.0.1", port)
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
