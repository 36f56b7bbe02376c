"""End what a run has started when the run ends, however it ends: kill -9 included.

Otherwise an `ansible-playbook` of a killed run would go on and remove the fleet of the next run. A
separate process waits for the end of the run. Then it kills every process that carries the run's
mark in its environment. What lab-env starts does not carry the mark, so containers outlive a run.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import sys
import time
from pathlib import Path

VARIABLE = "AGENT_BUS_LAB_RUN"
_ROUNDS = 500  # of 0.02 s; after them a process that is stuck in the kernel is left alone


def start(program: str = __file__, *, variable: str = VARIABLE) -> str:
    """Start that process for this one; return the mark, which children get as `variable`.

    It runs `program` with this process's id and the mark. It does not carry the mark of an outer
    run, whose end would kill it before its work is done.
    """
    mark = secrets.token_hex(6)
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)
    os.posix_spawn(  # a Popen object would complain that its process outlives it
        sys.executable,
        [sys.executable, "-I", "-S", program, str(os.getpid()), mark],
        {name: value for name, value in os.environ.items() if name != variable},
        file_actions=[nothing, *((os.POSIX_SPAWN_DUP2, 0, number) for number in (1, 2))],
        setsid=True,
    )
    return mark


def carriers(mark: str, *, variable: str = VARIABLE) -> list[int]:
    """Return the processes that carry a mark."""
    wanted = f"{variable}={mark}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to somebody else
            if wanted in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found


def wait_and_end(watched: int, mark: str, *, variable: str = VARIABLE) -> None:
    """Wait for the end of the process that started this one, then kill all that carry the mark."""
    os.chdir("/")
    os.closerange(3, 1024)  # whoever reads a pipe must not wait for this process
    with contextlib.suppress(ProcessLookupError):
        run = os.pidfd_open(watched)
        if (
            os.getppid() == watched
        ):  # otherwise it has ended, and its number may be another process's
            select.select([run], [], [])
    for _ in range(_ROUNDS):
        pids = carriers(mark, variable=variable)
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


if __name__ == "__main__":
    wait_and_end(int(sys.argv[1]), sys.argv[2])
