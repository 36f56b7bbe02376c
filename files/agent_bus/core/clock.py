"""Three clocks: the wall for what people read, a steady one for what is stored, and a counter.

The wall clock of a small machine jumps: without a battery it learns the time after its start, or
somebody sets it. Stamps follow it, because people compare them with their own clocks. What is
decided by age must not: a day's jump would expire mail, forget idempotency keys and empty the
archive. `steady_ms` is the wall clock at start plus what the machine has counted since. It can be
stored and never jumps while the process runs; a restart reads the wall clock again.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

DAY_MS: Final = 86_400_000


class Clock(Protocol):
    """Three readings that must never be mixed."""

    def now_ms(self) -> int:
        """Wall-clock milliseconds since 1970-01-01 UTC; for stamps that people read."""

    def steady_ms(self) -> int:
        """The same scale, without jumps while the process runs; for ages that are stored."""

    def monotonic(self) -> float:
        """Seconds that only grow; for ages, limits and deadlines within this process."""


_BOOT_NS: Final = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)
"""Nanoseconds since boot, suspended time included: a lease also lapses with the lid shut. No
function of ours, because each send reads it several times."""


class SystemClock:
    """The machine's clocks.

    Args:
        wall_ns: nanoseconds since 1970-01-01 UTC; may jump.
        counter_ns: nanoseconds since some point in the past; only grows.
    """

    def __init__(
        self,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        counter_ns: Callable[[], int] = _BOOT_NS,
    ) -> None:
        self._wall_ns = wall_ns
        self._counter_ns = counter_ns
        self._offset_ns = wall_ns() - counter_ns()

    def now_ms(self) -> int:
        """Wall-clock milliseconds since 1970-01-01 UTC."""
        return self._wall_ns() // 1_000_000

    def steady_ms(self) -> int:
        """The wall at start plus what has passed since, in milliseconds."""
        return (self._offset_ns + self._counter_ns()) // 1_000_000

    def monotonic(self) -> float:
        """Seconds since some fixed point in the past."""
        return self._counter_ns() / 1e9
