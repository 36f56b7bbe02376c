"""Run podman, inside the private namespace if the machine needs one."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.paths import LAB_ENV, LabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IN_USE = Path(tempfile.gettempdir()) / "agent-bus-lab.lock"


def run(command: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command through lab-env and return its result with its output.

    Raises:
        LabError: it failed, and `check` is set; the message ends with its last lines.
    """
    result = subprocess.run(
        [str(LAB_ENV), *command],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if check and result.returncode != 0:
        words = "\n".join((result.stderr or result.stdout).strip().splitlines()[-15:])
        raise LabError(f"{' '.join(command[:4])} ... failed ({result.returncode}):\n{words}")
    return result


def podman(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run podman with the arguments."""
    return run(["podman", *arguments], check=check)


@contextlib.contextmanager
def in_use() -> Iterator[None]:
    """Keep the private namespace while the block makes containers; other fleets may do so, too."""
    with IN_USE.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def stop_if_unused() -> None:
    """End the private namespace, unless there are containers or somebody is making some."""
    with IN_USE.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if not podman("ps", "--all", "--quiet").stdout.strip():
            subprocess.run([str(LAB_ENV), "--stop"], check=False)
