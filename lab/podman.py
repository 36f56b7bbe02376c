"""Run podman, inside the private namespace where the host needs one."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lab.paths import LAB_ENV, LabError

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(command: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command through lab-env and return its result, output captured.

    Raises:
        LabError: it failed and `check` is set; the message ends with its last words.
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
