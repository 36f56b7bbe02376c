"""Which hub answered last, kept for the next command where that is not the node's first hub.

One small file in the outbox folder, which command line and watcher can both write. It is written
when another hub is used, not at each call; where it cannot be written, nothing is remembered.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

NAME = "last-hub"
FRESH_S = 60.0  # after that, the first hub is tried again


class LastHub:
    """The file; any process may use it at any time."""

    def __init__(
        self, folder: str | PathLike[str], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = os.path.join(folder, NAME)
        self._clock = clock

    def recall(self) -> str | None:
        """Return the base address of the hub that answered within the last minute, if one did."""
        try:
            with open(self._path, encoding="utf-8") as file:
                url = file.read().strip()
                age_s = self._clock() - os.fstat(file.fileno()).st_mtime
        except (OSError, ValueError):
            return None
        return url if 0 <= age_s < FRESH_S else None

    def note(self, url: str) -> None:
        """Remember this hub for a minute."""
        temporary = f"{self._path}.{os.getpid()}.tmp"
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(f"{url}\n")
            os.replace(temporary, self._path)
        except OSError:
            _remove(temporary)

    def forget(self) -> None:
        """Begin at the first hub again."""
        _remove(self._path)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
