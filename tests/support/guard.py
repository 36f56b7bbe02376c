"""Nothing that a test run started outlives it, however the run ends; kill -9 included.

A process of its own waits for the end of the pytest process that asked for it (pidfd_open(2)).
Then it kills every process that carries this run's mark in its environment, unmounts the file
systems and deletes the nftables tables that have the mark in their names.

    subprocess.Popen(argv, env=marked())                 # a child, and all that it will start
    subprocess.Popen(argv, env=marked(PYTHONPATH="files"))

What was not marked stays: a namespace of the lab, say, which a demo uses as well.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_VARIABLE = "AGENT_BUS_TESTS_RUN"
_ROUNDS = 500  # of 0.02 s: a process that is stuck in the kernel is left


def marked(**more: str) -> dict[str, str]:
    """This process's environment with the mark of the run, and `more`."""
    return {**os.environ, _VARIABLE: mark(), **more}


def mark() -> str:
    """The mark of this run; the first call starts the process that cleans up after it."""
    return _guarded()[0]


@functools.cache
def _guarded() -> tuple[str, subprocess.Popen[bytes]]:
    made = secrets.token_hex(6)
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(os.getpid()), made],
        # without the mark of a run around this one, which would end it before its work is done
        env={name: value for name, value in os.environ.items() if name != _VARIABLE},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    return made, guardian


def carriers(of: str) -> list[int]:
    """The processes that carry a mark."""
    wanted = f"{_VARIABLE}={of}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            if wanted in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
    return found


def _clean_up_after(of: str) -> None:
    for _ in range(_ROUNDS):
        pids = carriers(of)
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    for source, place in (line.split()[:2] for line in mounts):
        if source.endswith(of):
            subprocess.run(["umount", "--lazy", place], check=False)
    with contextlib.suppress(FileNotFoundError):  # no nftables: no table
        listed = subprocess.run(
            ["nft", "list", "tables"], capture_output=True, text=True, check=False
        )
        for kind, family, name in (line.split() for line in listed.stdout.splitlines()):
            if name.endswith(of):
                subprocess.run(["nft", "delete", kind, family, name], check=False)


def main() -> None:
    watched, of = int(sys.argv[1]), sys.argv[2]
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(watched)
        if os.getppid() == watched:  # else it has ended, and the number may be another's
            select.select([process], [], [])
    _clean_up_after(of)


if __name__ == "__main__":
    main()
