"""End what a run has started when the run ends, however it ends: kill -9 included.

Else an `ansible-playbook` of a killed run goes on, and removes the fleet under the next one. A
process of its own waits for the end of the run; then it kills every process that carries the run's
mark in its environment. What lab-env starts does not carry it: containers outlive a run.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

VARIABLE = "AGENT_BUS_LAB_RUN"
_ROUNDS = 500  # of 0.02 s: a process that is stuck in the kernel is left


def start() -> str:
    """Start that process for this one; return the mark, which children get as VARIABLE."""
    mark = secrets.token_hex(8)
    subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(os.getpid()), mark],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    return mark


def carriers(mark: str) -> list[int]:
    """Return the processes that carry a mark."""
    wanted = f"{VARIABLE}={mark}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            if wanted in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found


def main() -> None:
    """Wait for the end of the run and end the rest."""
    watched, mark = int(sys.argv[1]), sys.argv[2]
    with contextlib.suppress(ProcessLookupError):
        run = os.pidfd_open(watched)
        if os.getppid() == watched:  # else it has ended, and the number may be another's
            select.select([run], [], [])
    for _ in range(_ROUNDS):
        pids = carriers(mark)
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


if __name__ == "__main__":
    main()
