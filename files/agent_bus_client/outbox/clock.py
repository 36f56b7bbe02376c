"""How old a waiting message is.

Ages are counted in time since boot, so that setting the wall clock, even by years, makes no
message look too old. Only across a reboot does the wall clock count.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return a word that is the same until the machine boots again; empty if it cannot be known.

    The watcher cannot read /proc/sys: its unit passes the word on in the environment.
    """
    try:
        found = os.environ.get("AGENT_BUS_BOOT") or BOOT_ID.read_text(encoding="ascii")
    except OSError:
        return ""
    return found.strip().replace("-", "")


@dataclass(frozen=True)
class Clock:
    """The machine's: wall time, seconds since boot (suspended ones, too), and which boot."""

    wall: Callable[[], float] = time.time
    counted: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    boot: Callable[[], str] = boot_id


MACHINE = Clock()
