"""The baseline: the first bus's design (see naive_server.py)."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from bench.peers import AGENTS, process
from bench.peers.web import HttpSender, HttpStream

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Naive:
    """One process, no authentication, polling streams."""

    name = "naive baseline"
    differs = "no authentication, validation, resume, receipts or limits; streams poll each second"
    per_agent = True
    is_slow = True

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    async def start(self, folder: Path) -> None:
        """Start the server."""
        self._port = process.free_port()
        database = str(folder / "naive.db")
        argv = [sys.executable, "-m", "bench.peers.naive_server", str(self._port), database]
        argv.append(json.dumps(AGENTS))
        self._process = await process.start(argv, port=self._port, log=folder / "naive.log")

    async def sender(self, agent: str) -> HttpSender:
        """A keep-alive client."""
        return HttpSender(self._port, token="-", sender=agent)  # noqa: S106 - it has no tokens

    async def stream(self, agents: Sequence[str], arrived: Callable[[str], None]) -> HttpStream:
        """A stream of the node's agents."""
        path = f"/stream?agents={','.join(agents)}"
        return await HttpStream.open(self._port, path, token="-", arrived=arrived)  # noqa: S106

    def cpu_s(self) -> float:
        """CPU of the server so far."""
        return process.cpu_s(self._process)

    async def stop(self) -> None:
        """End the server."""
        await process.stop(self._process)
