"""Nothing that a test run started outlives it, however the run ends; kill -9 included.

A separate process waits for the end of the pytest process that started it (lab/guardian.py). Then
it kills every process that carries this run's mark in its environment. It also unmounts the file
systems, deletes the nftables tables and removes the PostgreSQL that have the mark in their names.

    subprocess.Popen(argv, env=marked())                 # a child, and all that it will start
    subprocess.Popen(argv, env=marked(PYTHONPATH="files"))

What is not marked stays: a namespace of the lab, for example, which a demo uses as well.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":  # started by its path, outside of any package
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lab import guardian

VARIABLE = "AGENT_BUS_TESTS_RUN"


def marked(**more: str) -> dict[str, str]:
    """This process's environment with the mark of the run, and `more`."""
    return {**os.environ, VARIABLE: mark(), **more}


@functools.cache
def mark() -> str:
    """The mark of this run; the first call starts the process that cleans up after it."""
    return guardian.start(__file__, variable=VARIABLE)


def carriers(of: str) -> list[int]:
    """The processes that carry a mark."""
    return guardian.carriers(of, variable=VARIABLE)


def _remove_what_is_named_after(of: str) -> None:
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    for source, place in (line.split()[:2] for line in mounts):
        if source.endswith(of):
            subprocess.run(["umount", "--lazy", place], check=False)
    for folder in Path("/tmp").glob(f"agent-bus-postgres-{of}*"):  # see postgres.py
        for told in folder.glob("data/postmaster.pid"):  # its last figure names shared memory
            segment = told.read_text(encoding="ascii").split()[-2]
            subprocess.run(["ipcrm", "--shmem-id", segment], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):  # no nftables: no table
        listed = subprocess.run(
            ["nft", "list", "tables"], capture_output=True, text=True, check=False
        )
        for kind, family, name in (line.split() for line in listed.stdout.splitlines()):
            if name.endswith(of):
                subprocess.run(["nft", "delete", kind, family, name], check=False)


if __name__ == "__main__":
    guardian.wait_and_end(int(sys.argv[1]), sys.argv[2], variable=VARIABLE)
    _remove_what_is_named_after(sys.argv[2])
