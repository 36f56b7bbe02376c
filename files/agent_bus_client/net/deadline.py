"""A moment by which all of something has ended, however many steps it takes."""

from __future__ import annotations

import socket
import time


class Deadline:
    """One moment on the monotonic clock; it is handed through, so that no step starts anew."""

    def __init__(self, at: float) -> None:
        self.at = at

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the moment that is so far ahead."""
        return cls(time.monotonic() + seconds)

    def within(self, seconds: float) -> Deadline:
        """Return the earlier one of this moment and so many seconds from now."""
        return Deadline(min(self.at, time.monotonic() + seconds))

    def left_s(self) -> float:
        """Return how long is left, 0 when it has passed."""
        return max(0.0, self.at - time.monotonic())

    def require_s(self) -> float:
        """Return how long is left, as a socket's timeout.

        Raises:
            TimeoutError: it has passed.
        """
        left_s = self.left_s()
        if left_s <= 0:
            raise TimeoutError("timed out")
        return left_s


def is_timeout(error: BaseException) -> bool:
    """Tell whether the error says that the time was over: two classes until Python 3.10."""
    return isinstance(error, (TimeoutError, socket.timeout))
