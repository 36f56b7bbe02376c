"""Kernel limits that a fleet of containers reaches, though single services do not."""

from __future__ import annotations

from pathlib import Path

from lab.paths import LabError

INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH_INSTANCES = 1024
"""A container's systemd and services take about six, and all containers belong to one user: two
fleets use up the kernel's 128. The next container then hangs half-way through its boot."""


def raise_inotify(setting: Path = INSTANCES, *, enough: int = ENOUGH_INSTANCES) -> None:
    """Let the fleet's containers watch files, until the next boot of this machine.

    Raises:
        LabError: the limit is too low and may not be changed.
    """
    now = int(setting.read_text())
    if now >= enough:
        return
    try:
        setting.write_text(str(enough))
    except OSError as error:
        raise LabError(
            f"{setting} is {now}, too low for a fleet of containers; as root on this machine, "
            f"run: sysctl -w fs.inotify.max_user_instances={enough}"
        ) from error
    print(f"lab: raised fs.inotify.max_user_instances from {now} to {enough}", flush=True)
