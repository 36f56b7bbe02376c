"""Rate limits: one token bucket per key, on the monotonic clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent_bus.core.clock import Clock

KEPT: Final = 10_000
"""Most keys that are kept, about 1 MB. Past it the longest idle ones are forgotten, so that wrong
tokens from ever new addresses cost neither memory nor time."""


class RateLimiter:
    """Lets each key do `burst` things at once, and `per_s` per second in the long run."""

    def __init__(self, *, per_s: float, burst: float, clock: Clock) -> None:
        self._whole = per_s, burst
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    @property
    def per_s(self) -> float:
        """The long-run rate, over all hubs."""
        return self._whole[0]

    def divide(self, parts: int) -> None:
        """Let each key do a part of all that it may: one of so many hubs that each let it do so.

        At least one thing at once always passes.
        """
        per_s, burst = self._whole
        self._per_s = per_s / parts
        self._burst = max(1.0, burst / parts)

    def take(self, key: str) -> float:
        """Take one; answers 0.0. When none is left, takes nothing; answers the seconds to wait."""
        now = self._clock.monotonic()
        level = self._level(key, now)
        if level < 1.0:
            return (1.0 - level) / self._per_s
        self._keep(key, level - 1.0, now)
        return 0.0

    def give_back(self, key: str) -> None:
        """Undo one `take`."""
        now = self._clock.monotonic()
        self._keep(key, min(self._burst, self._level(key, now) + 1.0), now)

    def _level(self, key: str, now: float) -> float:
        level, at = self._buckets.get(key, (self._burst, now))
        return min(self._burst, level + (now - at) * self._per_s)

    def _keep(self, key: str, level: float, now: float) -> None:
        self._buckets.pop(key, None)
        self._buckets[key] = (level, now)  # last in the dictionary's order
        if len(self._buckets) > KEPT:
            del self._buckets[next(iter(self._buckets))]
