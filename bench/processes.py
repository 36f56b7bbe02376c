"""The processes of a server, whatever its process model: their CPU, memory and descriptors.

All of them descend from the process that was started, or are in its process group or session.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Stat(NamedTuple):
    """What `/proc/PID/stat` says of a process."""

    pid: int
    parent: int
    group: int
    session: int
    ticks: int
    """CPU in user and kernel mode, of the process and of its children that were waited for."""


def parse_stat(text: str) -> Stat:
    """One line of `/proc/PID/stat`; the name of the program may hold spaces and brackets."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    parent, group, session = (int(field) for field in fields[1:4])
    ticks = sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    return Stat(int(head.split(" ", 1)[0]), parent, group, session, ticks)


def related(leader: int, everyone: Iterable[Stat]) -> list[Stat]:
    """Those of `everyone` that belong to the server that was started as `leader`."""
    stats = {stat.pid: stat for stat in everyone}

    def belongs(stat: Stat | None) -> bool:
        while stat is not None:
            if leader in {stat.pid, stat.parent, stat.group, stat.session}:
                return True
            stat = stats.get(stat.parent)
        return False

    return [stat for stat in stats.values() if belongs(stat)]


def family(leader: int) -> list[Stat]:
    """All processes of a server."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found.append(parse_stat(place.read_text(encoding="ascii", errors="replace")))
    return related(leader, found)


def cpu_s(leader: int) -> float:
    """CPU that a server has used so far, in user and kernel mode."""
    return sum(stat.ticks for stat in family(leader)) * TICK_S


def pss_kib(leader: int) -> int:
    """Memory of a server: what its processes share with others counts by their number."""
    kib = 0
    for stat in family(leader):
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{stat.pid}/smaps_rollup").read_text(encoding="ascii")
            kib += int(rollup.partition("\nPss:")[2].split()[0])
    return kib


def descriptors(pids: Iterable[int]) -> int:
    """How many descriptors these processes have open."""
    count = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            count += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return count
