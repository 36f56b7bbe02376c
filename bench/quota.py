"""A share of a core for a process group, by a control group made by hand; needs root."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path("/sys/fs/cgroup")
PERIOD_US: Final = 20_000


class NoQuotaError(Exception):
    """This machine lets nobody make control groups; the text says why."""


def group_pids(leader: int) -> list[int]:
    """The processes of a process group."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(place.name)) == leader:
                found.append(int(place.name))
    return found


@contextlib.contextmanager
def quota(name: str, leader: int, cores: float) -> Iterator[None]:
    """Give a process group, and what it forks later, so much of a core until the end.

    Raises:
        NoQuotaError: it cannot be done here.
    """
    folder, limits = _place(name, int(cores * PERIOD_US))
    try:
        folder.mkdir()
        for file, value in limits.items():
            (folder / file).write_text(value, encoding="ascii")
        for pid in group_pids(leader):
            (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")
    except OSError as error:
        raise NoQuotaError(f"{folder}: {error.strerror}") from error
    try:
        yield
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), "all have ended")
        folder.rmdir()


def _place(name: str, quota_us: int) -> tuple[Path, dict[str, str]]:
    """(folder, what is written into which of its files), on version 2 or 1."""
    if "cpu" in _controllers(ROOT):
        with contextlib.suppress(OSError):
            (ROOT / "cgroup.subtree_control").write_text("+cpu", encoding="ascii")
        return ROOT / name, {"cpu.max": f"{quota_us} {PERIOD_US}"}
    if (ROOT / "cpu" / "cpu.cfs_quota_us").exists() or (ROOT / "cpu").is_dir():
        limits = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota_us)}
        return ROOT / "cpu" / name, limits
    raise NoQuotaError("there is no cpu controller")


def _controllers(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return (folder / "cgroup.controllers").read_text(encoding="ascii").split()
    return []
