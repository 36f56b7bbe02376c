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
        """Take one; answers 0.0. When none is left, takes nothing; answers the seconds to wait.

        In one piece, because each send pays for it.
        """
        now = self._clock.monotonic()
        buckets = self._buckets
        level, at = buckets.pop(key, (self._burst, now))
        level += (now - at) * self._per_s
        if level > self._burst:  # noqa: PLR1730 - a call of `min` takes three times as long
            level = self._burst
        if level < 1.0:
            buckets[key] = (level, now)
            return (1.0 - level) / self._per_s
        buckets[key] = (level - 1.0, now)  # last in the dictionary's order
        if len(buckets) > KEPT:
            del buckets[next(iter(buckets))]
        return 0.0

    def give_back(self, key: str) -> None:
        """Undo one `take`."""
        found = self._buckets.get(key)
        if found is not None:
            self._buckets[key] = (min(self._burst, found[0] + 1.0), found[1])
