"""Redis Streams with `appendfsync always`: an XADD is answered after an fsync."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING, Any

from bench.peers import NotAvailableError, process

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path


class RedisStreams:
    """One redis-server (Debian's) and redis-py clients."""

    name = "Redis Streams synced"
    differs = "no per-recipient rights, no read state, inbox or priorities; all data in memory"

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    async def start(self, folder: Path) -> None:
        """Start the server with an append-only file."""
        binary = shutil.which("redis-server")
        if binary is None:
            raise NotAvailableError("redis-server is not installed (Debian package redis-server)")
        try:
            import redis  # noqa: F401 - only whether it is there
        except ImportError as error:
            raise NotAvailableError("redis-py is not installed") from error
        self._port = process.free_port()
        argv = [binary, "--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(folder)]
        argv += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        self._process = await process.start(argv, port=self._port, log=folder / "redis.log")

    def _connect(self) -> Any:  # noqa: ANN401 - redis-py's client
        from redis.asyncio import Redis

        return Redis(host="127.0.0.1", port=self._port, decode_responses=True)

    async def sender(self, agent: str) -> RedisSender:
        """A connection that adds to streams."""
        del agent
        return RedisSender(self._connect(), None)

    async def stream(self, agents: Sequence[str], arrived: Callable[[str], None]) -> RedisSender:
        """A blocking XREAD over the node's streams."""
        client = self._connect()
        await client.ping()
        last = {**{f"agent:{agent}": "0" for agent in agents}, "all": "0"}

        async def read() -> None:
            positions: dict[str, Any] = dict(last)
            while True:
                for key, entries in await client.xread(positions, block=0):
                    for identifier, fields in entries:
                        positions[key] = identifier
                        arrived(fields["body"])

        task = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        return RedisSender(client, task)

    def cpu_s(self) -> float:
        """CPU of the server so far."""
        return process.cpu_s(self._process)

    async def stop(self) -> None:
        """End the server."""
        await process.stop(self._process)


class RedisSender:
    """A connection; with a reading task for a stream."""

    def __init__(self, client: Any, task: asyncio.Task[None] | None) -> None:  # noqa: ANN401
        self._client = client
        self._task = task

    async def send(self, to: str | None, body: str) -> None:
        """Add one entry."""
        await self._client.xadd("all" if to is None else f"agent:{to}", {"body": body})

    async def close(self) -> None:
        """Stop reading and close the connection."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._client.aclose()
