"""A minimal keep-alive HTTP client and event-stream reader on asyncio, for the HTTP peers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class HttpSender:
    """One connection that posts messages and waits for each answer."""

    def __init__(self, port: int, *, token: str, sender: str) -> None:
        self._port = port
        self._head = (
            f"POST /send HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._sender = sender
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, to: str | None, body: str) -> None:
        """Post one message; anything but 201 is an error."""
        fields = {"from": self._sender, "body": body, **({} if to is None else {"to": to})}
        payload = json.dumps(fields).encode()
        await self.request(self._head + b"%d\r\n\r\n" % len(payload) + payload, 201)

    async def request(self, request: bytes, wanted: int) -> bytes:
        """Send raw bytes and read one answer with a Content-Length."""
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = next(
            int(line[15:])
            for line in head.split(b"\r\n")
            if line.lower()[:15] == b"content-length:"
        )
        body = await self._reader.readexactly(length)
        if status != wanted:
            raise RuntimeError(f"{status}: {body.decode()}")
        return body

    async def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()
            self._reader = self._writer = None


class HttpStream:
    """One open event stream; every message's body goes to `arrived`."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    @classmethod
    async def open(
        cls, port: int, path: str, *, token: str, arrived: Callable[[str], None], last_id: str = ""
    ) -> HttpStream:
        """Connect, and return when the first bytes of the answer are there."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        cursor = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n"
            f"{cursor}\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0] + b" ":
            writer.close()
            raise RuntimeError(head.decode())
        first = asyncio.Event()
        task = asyncio.create_task(_read(reader, writer, arrived, first))
        await first.wait()
        return cls(task)

    async def close(self) -> None:
        """Hang up."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


async def _read(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    arrived: Callable[[str], None],
    first: asyncio.Event,
) -> None:
    """Read chunks; a chunk is one frame here, but lines are found whatever the chunks are."""
    pending = b""
    try:
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            chunk = await reader.readexactly(size + 2)
            first.set()
            if size == 0:
                return
            pending += chunk[:-2]
            *lines, pending = pending.split(b"\n")
            for line in lines:
                if line.startswith(b"data: "):
                    event: dict[str, Any] = json.loads(line[6:])
                    if event.get("to_agent"):
                        arrived(event["body"])
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        first.set()
        writer.close()
