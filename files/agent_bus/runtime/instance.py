"""The instance lock: at most one process serves a folder, be it server or admin tool.

On SQLite it is the folder of the database: so one process has that open.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from agent_bus.core import errors

if TYPE_CHECKING:
    from pathlib import Path


def lock(folder: Path) -> int:
    """Lock a hub's folder for the life of the process; answers the lock's descriptor.

    Raises:
        errors.StartupError: another process has the lock, or there is no such folder.
    """
    path = folder / "bus.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise errors.StartupError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise errors.StartupError(
            f"{path} is locked: another agent-bus is using its folder. Exactly one process may "
            "do so; see `systemctl status agent-bus`."
        ) from error
    give_to_owner_of_folder(path)
    return descriptor


def give_to_owner_of_folder(path: Path) -> None:
    """Give a file that root made to the service, which owns the folder; other users keep it."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid)
