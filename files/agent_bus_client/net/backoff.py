"""How long to wait before the next try; pure but for the clock and the random source.

A watcher has to be back within two seconds of its hub, and a whole fleet must not fall upon a hub
that has just started. So waits are short in the first minute of an outage, and longer after it.
The hub says how long the short ones may be: longer for a larger fleet. Full jitter (a uniform draw
from zero to the doubled delay) spreads a fleet that lost its hub at one instant; see "Exponential
Backoff And Jitter", AWS Architecture Blog, 2015. After a planned end, the hub itself has drawn the
first wait.
"""

from __future__ import annotations

import random
import time

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional

BASE_S = 0.5
LEAST_S = 0.05  # whatever a hub says: nobody tries again without a pause
CAP_S = 2.0  # longest wait in the first minute, unless the hub has named another
FIRST_MINUTE_S = 60.0  # of an outage: a restart, an update or a reboot is over by then
LONG_CAP_S = 30.0  # after that: a hub that stays away is asked twice a minute
HEALTHY_S = 10.0  # a connection that has lived this long starts the doubling anew
MAX_RETRY_AFTER_S = 600.0  # a typing error on a server must not switch a node off for a day


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header; None for its date form, which is unsupported."""
    if value is None or not value.strip().isdigit():
        return None
    return min(float(value.strip()), MAX_RETRY_AFTER_S)


class Backoff:
    """The delays between the tries of one thing.

    Attributes:
        base_s: the first ceiling after a cut; twice as high after a planned end.
        cap_s: the longest wait in the first minute of an outage.
    """

    def __init__(
        self,
        *,
        base_s: float = BASE_S,
        cap_s: float = CAP_S,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base_s = base_s
        self.cap_s = cap_s
        self._draw = draw
        self._clock = clock
        self._failures = 0
        self._late_failures = 0
        self._since: Optional[float] = None
        self._was_planned = False

    def next_delay_s(self, retry_after_s: float | None = None) -> float:
        """Return how long to wait after one more failure.

        A Retry-After is a lower bound; the jitter comes on top, so that all clients of a full
        server do not return in the same second.
        """
        ceiling_s = self._ceiling_s()
        if retry_after_s is not None:
            return retry_after_s + self._draw() * min(ceiling_s, retry_after_s)
        if (
            self._was_planned
        ):  # the hub has spread the fleet: keep it spread, and give the hub time to start
            return ceiling_s * (0.5 + self._draw() / 2)
        return self._draw() * ceiling_s

    def planned_delay_s(self, wait_s: float) -> float:
        """Return the wait that the hub asked for when it ended a stream, unchanged."""
        self._failures = 0
        self._was_planned = True
        self._begin()
        return wait_s

    def connected(self, *, retry_ms: int | None = None, cap_s: float | None = None) -> None:
        """Note that the other side answers: the outage, if there was one, is over.

        `retry_ms` is what the stream's `retry:` says; a cut is followed by half of it. `cap_s` is
        what its `hello` says. Each is None where the stream says nothing.
        """
        if retry_ms is not None:
            self.base_s = max(LEAST_S, retry_ms / 2000)
        if cap_s is not None:
            self.cap_s = min(max(LEAST_S, cap_s), MAX_RETRY_AFTER_S)
        self._since = None
        self._late_failures = 0
        self._was_planned = False

    def connected_for(self, duration_s: float) -> None:
        """Start the doubling anew if the connection that has just ended was a healthy one."""
        if duration_s >= HEALTHY_S:
            self._failures = 0

    def _begin(self) -> float:
        """Note when this outage began and return for how long it has lasted."""
        now = self._clock()
        self._since = now if self._since is None else self._since
        return now - self._since

    def _ceiling_s(self) -> float:
        if self._begin() < FIRST_MINUTE_S:
            first_s = self.base_s * 2 if self._was_planned else self.base_s
            ceiling_s = min(self.cap_s, first_s * (1 << min(self._failures, 16)))
            self._failures += 1
            return ceiling_s
        self._late_failures += 1
        doubled_s = self.cap_s * (1 << min(self._late_failures, 16))
        return min(max(LONG_CAP_S, self.cap_s), doubled_s)
