"""Which containers of a fleet are alive according to the kernel: podman's records may be wrong.

A container is this fleet's if the fleet's own ssh key is mounted in it. No other container has
this mount, not even one of a fleet of the same name in another clone.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.engine.containers import LOGIN
from lab.paths import ROOT, LabError, fleet_dir, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

PROC = Path("/proc")
ENDED_WITHIN_S = 60
"""Only to report a process that the kernel cannot end; SIGKILL takes milliseconds."""
CONTAINER_ID = re.compile(r"libpod-([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Resident:
    """The first process of a living container of the fleet."""

    pid: int
    monitor: int
    """The process id of its conmon; 0 if that is gone."""
    container: str
    """The container's id; empty if no cgroup shows it."""


def residents(fleet: str) -> list[Resident]:
    """Return the first processes of all containers that have the fleet's key mounted."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended in the meantime
            status = (folder / "status").read_text()
            if is_first(status) and has_key((folder / "mountinfo").read_text(), fleet):
                found.append(_resident(folder, status))
    return found


def is_first(status: str) -> bool:
    """Tell from /proc/PID/status whether a process is number 1 of a namespace below ours."""
    numbers = re.search(r"^NSpid:\s+(.+)$", status, re.MULTILINE)
    return numbers is not None and numbers[1].split()[1:][-1:] == ["1"]


def has_key(mountinfo: str, fleet: str) -> bool:
    """Tell from /proc/PID/mountinfo whether this clone's key of the fleet is mounted there.

    The kernel shows a mount as a device and the path below that device's root, which is the end of
    the path here. It marks the path once the file is deleted.
    """
    device = ROOT.stat().st_dev
    key = key_of(fleet).with_suffix(".pub")
    for line in mountinfo.splitlines():
        _, _, where, root, target, *_ = line.split(" ")
        if target != f"/etc/ssh/authorized_keys.d/{LOGIN}":
            continue
        path = root.removesuffix("//deleted")
        below = str(fleet_dir(fleet).relative_to(ROOT) / "ssh" / key.name)
        same_device = where == f"{os.major(device)}:{os.minor(device)}"
        if same_device and path.endswith(f"/{below}") and str(key).endswith(path):
            return True
    return False


def _resident(folder: Path, status: str) -> Resident:
    parent = re.search(r"^PPid:\s+(\d+)$", status, re.MULTILINE)
    monitor = int(parent[1]) if parent else 0
    if (PROC / str(monitor) / "comm").read_text().strip() != "conmon":
        monitor = 0
    container = CONTAINER_ID.search((folder / "cgroup").read_text())
    return Resident(int(folder.name), monitor, container[1] if container else "")


def end(those: Sequence[Resident]) -> None:
    """Kill containers that podman does not know; first the process that would restart each.

    Raises:
        LabError: one does not end.
    """
    for resident in those:
        for pid in (resident.monitor, resident.pid):
            if pid:
                _kill(pid)


def _kill(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not select.select([handle], [], [], ENDED_WITHIN_S)[0]:
            raise LabError(f"process {pid}, of a container of this fleet, does not end")
    finally:
        os.close(handle)
