"""Starting and ending a peer's server process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from bench import processes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def start(argv: Sequence[str], *, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start a server and return when its port answers."""
    process = await asyncio.to_thread(_spawn, argv, log)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        if process.poll() is not None:
            break
        await asyncio.sleep(0.05)
    process.kill()
    process.wait()
    said = await asyncio.to_thread(log.read_text)
    raise RuntimeError(f"{argv[0]} did not start: {said[-500:]}")


def _spawn(argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(argv, stdout=output, stderr=output)


def cpu_s(process: subprocess.Popen[bytes] | None) -> float:
    """CPU that a server has used so far."""
    return 0.0 if process is None else processes.cpu_s(process.pid)


async def stop(process: subprocess.Popen[bytes] | None) -> None:
    """End a process that `start` began."""
    if process is not None:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 10)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)
