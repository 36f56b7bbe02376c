"""A rolling window: how many wakes there were in the last hour, or the last 24."""

from __future__ import annotations

import bisect
import math


class Window:
    """Counts in whole seconds of one monotonic clock; what is older than `span_s` is forgotten.

    A second counts from its end, so nothing leaves early. Memory: a pair per second that has a
    wake, and a fleet has at most a few per second.
    """

    __slots__ = ("_seconds", "_total", "span_s")

    def __init__(self, span_s: int) -> None:
        self.span_s = span_s
        self._seconds: list[tuple[int, int]] = []
        self._total = 0

    def add(self, at: float, count: int = 1) -> None:
        """Count wakes at a time; reports may come late, and out of order."""
        second = math.ceil(at)
        self._total += count
        place = bisect.bisect_left(self._seconds, (second,))
        if place < len(self._seconds) and self._seconds[place][0] == second:
            self._seconds[place] = (second, self._seconds[place][1] + count)
        else:
            self._seconds.insert(place, (second, count))

    def used(self, now: float) -> int:
        """How many there were within the span before now."""
        self._forget(now)
        return self._total

    def frees_at(self, now: float, limit: int) -> float | None:
        """When fewer than `limit` are left in the window; None: that is so now."""
        surplus = self.used(now) - limit + 1
        if surplus <= 0:
            return None
        for second, count in self._seconds:
            surplus -= count
            if surplus <= 0:
                return float(second + self.span_s)
        return math.inf  # nothing may ever pass: the limit is 0

    def counted(self, now: float) -> list[tuple[int, int]]:
        """(second, how many), oldest first."""
        self._forget(now)
        return list(self._seconds)

    def _forget(self, now: float) -> None:
        left = bisect.bisect_right(self._seconds, (now - self.span_s, math.inf))
        if left:
            self._total -= sum(count for _, count in self._seconds[:left])
            del self._seconds[:left]
