"""Backups of the running hub: one at a time, each in a native thread; the newest are kept."""

from __future__ import annotations

import errno
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agent_bus.core import errors
from agent_bus.runtime.greenlets import ThreadedPool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent_bus.core.clock import Clock
    from agent_bus.core.model import Backup

logger = logging.getLogger(__name__)

NAMES: Final = "bus-*.db"
"""Names of finished backups; broken-off ones are called otherwise."""


class Backups:
    """Makes backups in a folder.

    Args:
        write: writes one to a path, in a native thread.
        keep: how many are kept; older ones are deleted after each new one.
    """

    def __init__(
        self, folder: Path, *, write: Callable[[Path], Backup], keep: int, clock: Clock
    ) -> None:
        self._folder = folder
        self._write_to = write
        self._keep = keep
        self._clock = clock
        self._is_running = False

    def make(self) -> Backup:
        """A new, verified backup; blocks this greenlet, never the loop.

        Raises:
            errors.BackupRunningError: another one is being made.
            errors.DiskFullError: no room.
            errors.BackupFailedError: the disk or the check failed.
        """
        if self._is_running:
            raise errors.BackupRunningError
        self._is_running = True
        thread = ThreadedPool([self._target()])
        try:
            outcome = thread.run(self._attempt)
        finally:
            self._is_running = False
            thread.close(lambda _target: None)
        if isinstance(outcome, errors.BusError):
            raise outcome
        return outcome

    def _target(self) -> Path:
        at = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        return self._folder / f"bus-{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03d}Z.db"

    def _attempt(self, target: Path) -> Backup | errors.BusError:
        """The outcome, not raised: gevent writes the stack of what is raised in a thread."""
        try:
            return self._write(target)
        except errors.BusError as error:
            return error

    def _write(self, target: Path) -> Backup:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise errors.DiskFullError from error
            raise errors.BackupFailedError(str(error)) from error
        for part in self._folder.glob(
            ".bus-*.db.part*"
        ):  # one backup at a time: nobody writes this one
            part.unlink(missing_ok=True)
            logger.info("Deleted the rest of a broken-off backup: %s", part)
        made = self._write_to(target)
        for old in self._by_age(target)[: -self._keep]:
            old.unlink(missing_ok=True)
            logger.info("Deleted the old backup %s", old)
        return made

    def _by_age(self, newest: Path) -> list[Path]:
        """All backups, oldest first.

        A backup with a later date than the newest was made before it by a wrong clock, or the
        clock is wrong now: it counts as the oldest.
        """
        found = self._folder.glob(NAMES)
        return sorted(found, key=lambda one: (one.name <= newest.name, one.name))


def newest_at(folder: Path) -> int | None:
    """When the newest backup was written (ms); None without one."""
    found = [int(path.stat().st_mtime * 1000) for path in folder.glob(NAMES)]
    return max(found, default=None)
