"""How old a waiting message is.

Ages are counted in time since boot, so that setting the wall clock, even by years, makes no
message look too old. Only across a reboot does the wall clock count.
"""

from __future__ import annotations

import os
import time
from functools import partial

from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Callable


BOOT_ID = "/proc/sys/kernel/random/boot_id"


def boot_id() -> str:
    """Return a word that is the same until the machine boots again; empty if it cannot be known.

    The watcher cannot read /proc/sys: its unit passes the word on in the environment.
    """
    found = os.environ.get("AGENT_BUS_BOOT")
    if not found:
        try:
            with open(BOOT_ID, encoding="ascii") as file:
                found = file.read()
        except OSError:
            return ""
    return found.strip().replace("-", "")


class Clock(Record):
    """The machine's: wall time, seconds since boot (suspended ones, too), and which boot."""

    wall: Callable[[], float] = time.time
    counted: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    boot: Callable[[], str] = boot_id


MACHINE = Clock()
