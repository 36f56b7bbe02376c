"""Time, as a collaborator: the wall for what is told, monotonic for what is measured."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks that must never be mixed: the wall may jump, monotonic never does."""

    def now_ms(self) -> int:
        """Wall-clock milliseconds since 1970-01-01 UTC; for stamps that people read."""

    def monotonic(self) -> float:
        """Seconds that only grow; for ages, limits and deadlines within this process."""


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Wall-clock milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since some fixed point in the past."""
        return time.monotonic()
