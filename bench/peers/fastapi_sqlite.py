"""FastAPI and SQLite: what many would write in an afternoon (see fastapi_server.py)."""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import TYPE_CHECKING

from bench.peers import AGENTS, NotAvailableError, process
from bench.peers.web import HttpSender, HttpStream

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path


class FastApi:
    """One uvicorn process."""

    name = "FastAPI + SQLite"
    differs = "no authentication, rights, limits, resume, receipts or idempotency keys"
    per_agent = True
    is_slow = False

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    async def start(self, folder: Path) -> None:
        """Start the server."""
        for needed in ("fastapi", "uvicorn", "httptools"):
            if importlib.util.find_spec(needed) is None:
                raise NotAvailableError(f"{needed} is not installed")
        self._port = process.free_port()
        argv = [sys.executable, "-m", "bench.peers.fastapi_server"]
        argv += [str(self._port), str(folder / "bus.db"), json.dumps(AGENTS)]
        self._process = await process.start(argv, port=self._port, log=folder / "fastapi.log")

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
