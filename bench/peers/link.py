"""A connection to a peer that speaks in frames, as light as the HTTP client for the hub."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from bench.peers.web import HOST

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F")


class Link(asyncio.Protocol, Generic[F]):
    """One connection, with at most one question in flight.

    Args:
        parse: splits bytes into whole frames and what is left.
    """

    def __init__(self, parse: Callable[[bytes], tuple[list[F], bytes]]) -> None:
        self._parse = parse
        self._rest = b""
        self._answer: asyncio.Future[F] | None = None
        self._transport: asyncio.Transport | None = None
        self.take: Callable[[F], None] = self.answer
        """What is done with each frame; at first, that it answers the question."""

    @classmethod
    async def open(cls, port: int, parse: Callable[[bytes], tuple[list[F], bytes]]) -> Link[F]:
        """Connect."""
        link = cls(parse)
        await asyncio.get_running_loop().create_connection(lambda: link, HOST, port)
        return link

    async def ask(self, request: bytes) -> F:
        """Write, and return the next frame that answers."""
        self._answer = asyncio.get_running_loop().create_future()
        self.write(request)
        return await self._answer

    def write(self, request: bytes) -> None:
        """Write what has no answer."""
        assert self._transport is not None
        self._transport.write(request)

    def answer(self, frame: F) -> None:
        """Give a frame to who asks; one that nobody waits for is dropped."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(frame)

    async def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()
        await asyncio.sleep(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take each frame that is whole."""
        frames, self._rest = self._parse(self._rest + data if self._rest else data)
        for frame in frames:
            self.take(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail who waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the server hung up"))
