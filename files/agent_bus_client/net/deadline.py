"""A moment by which something has ended as a whole, however many steps it takes."""

from __future__ import annotations

import time
from _socket import timeout as socket_timeout  # `socket` is slow to load: decision 60


class Deadline:
    """One moment on the monotonic clock, passed from step to step, so that none starts anew."""

    def __init__(self, at: float) -> None:
        self.at = at

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the moment that is this many seconds ahead."""
        return cls(time.monotonic() + seconds)

    def within(self, seconds: float) -> Deadline:
        """Return this moment, or the one this many seconds ahead if that is earlier."""
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
    """Tell whether the error is a timeout; before Python 3.10 there are two classes of them."""
    return isinstance(error, (TimeoutError, socket_timeout))
