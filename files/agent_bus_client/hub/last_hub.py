"""Which hub answered last, kept for the next command where that is not the node's first hub.

One small file in the outbox folder, which command line and watcher can both write. It is written
when another hub is used, not at each call; where it cannot be written, nothing is remembered.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from pathlib import Path

NAME = "last-hub"
FRESH_S = 60.0  # after that, the first hub is tried again


class LastHub:
    """The file; any process may use it at any time."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / NAME
        self._clock = clock

    def recall(self) -> str | None:
        """Return the base address of the hub that answered within the last minute, if one did."""
        try:
            with self._path.open(encoding="utf-8") as file:
                url = file.read().strip()
                age_s = self._clock() - os.fstat(file.fileno()).st_mtime
        except (OSError, ValueError):
            return None
        return url if 0 <= age_s < FRESH_S else None

    def note(self, url: str) -> None:
        """Remember this hub for a minute."""
        temporary = self._path.with_name(f"{NAME}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            try:
                temporary.write_text(f"{url}\n", encoding="utf-8")
                temporary.replace(self._path)
            except OSError:
                temporary.unlink()
                raise

    def forget(self) -> None:
        """Begin at the first hub again."""
        with contextlib.suppress(OSError):
            self._path.unlink()
