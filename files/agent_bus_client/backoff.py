"""How long to wait before the next try; pure but for the random source that is passed in.

Full jitter (a uniform draw from zero to the doubled delay) spreads a fleet that lost its hub at
one instant; see "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CAP_S = 30.0  # a returned hub is noticed within this
HEALTHY_S = 60.0  # a connection that lived this long starts the doubling anew
MAX_RETRY_AFTER_S = 600.0  # a server's typing error must not switch a node off for a day


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header; the date form is not understood: None."""
    if value is None or not value.strip().isdigit():
        return None
    return min(float(value.strip()), MAX_RETRY_AFTER_S)


class Backoff:
    """The delays of one thing that is tried again and again."""

    def __init__(self, *, base_s: float = 1.0, draw: Callable[[], float] = random.random) -> None:
        self.base_s = base_s
        self._draw = draw
        self._failures = 0

    def next_delay_s(self, retry_after_s: float | None = None) -> float:
        """Return how long to wait after one more failure.

        A Retry-After is a lower bound; the jitter comes on top, so that all clients of a full
        server do not return in the same second.
        """
        ceiling_s = min(CAP_S, self.base_s * (1 << min(self._failures, 16)))
        self._failures += 1
        if retry_after_s is None:
            return self._draw() * ceiling_s
        return retry_after_s + self._draw() * min(ceiling_s, retry_after_s)

    def connected_for(self, duration_s: float) -> None:
        """Start anew when the connection that just ended was a healthy one."""
        if duration_s >= HEALTHY_S:
            self._failures = 0
