"""How old a waiting message is.

Ages are counted by the machine since its boot: a wall clock that is set right, hours or years
ahead, must give up nothing. Only over a reboot the wall is believed.
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
    """Return what is the same until the machine's next boot, empty when it cannot be known.

    The watcher's unit hides /proc/sys from it and hands it over instead.
    """
    try:
        found = os.environ.get("AGENT_BUS_BOOT") or BOOT_ID.read_text(encoding="ascii")
    except OSError:
        return ""
    return found.strip().replace("-", "")


@dataclass(frozen=True)
class Clock:
    """The machine's: wall in seconds, seconds since boot (suspended ones too), and which boot."""

    wall: Callable[[], float] = time.time
    counted: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    boot: Callable[[], str] = boot_id


MACHINE = Clock()
