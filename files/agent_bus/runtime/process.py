"""What this process uses, read from /proc/self alone. Linux only.

The unit hides the rest of /proc (`ProcSubset=pid`). prometheus_client's collector reads the boot
time from /proc/stat; without that it yields nothing, silently.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc/self")
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """As of now; `started_at` is seconds since 1970, by the wall clock of the first look."""

    cpu_s: float
    virtual_bytes: int
    resident_bytes: int
    open_fds: int
    max_fds: int
    started_at: float


class Process:
    """Reads the figures of the process that made it."""

    def __init__(self) -> None:
        # starttime counts ticks since boot, as CLOCK_BOOTTIME counts seconds (proc(5))
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - _fields()[19] / TICKS_PER_S
        self._started_at = time.time() - age_s

    def usage(self) -> Usage:
        """The figures; three small reads."""
        fields = _fields()
        return Usage(
            cpu_s=(fields[11] + fields[12]) / TICKS_PER_S,
            virtual_bytes=fields[20],
            resident_bytes=fields[21] * PAGE_BYTES,
            open_fds=sum(1 for _ in (PROC / "fd").iterdir()),
            max_fds=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            started_at=self._started_at,
        )


def _fields() -> list[int]:
    """The numbers of /proc/self/stat from the fourth field on, beginning at index 1.

    The second field is the command in brackets, which may itself hold spaces and brackets.
    """
    rest = (PROC / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    return [0, *map(int, rest.split()[1:])]
