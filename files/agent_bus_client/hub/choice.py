"""At which hub the stream is opened next, and when; pure but for the clock and the random source.

The first hub in the node's order that is not waited for. Each hub has a backoff of its own: going
on to another hub costs no wait, and a dead hub is asked no more often than if it were the only
one. With all dead, each is tried as an only one would be.
"""

from __future__ import annotations

import random
import time

from agent_bus_client.hub.hubs import CONNECT_S, PATIENT_S
from agent_bus_client.net.backoff import Backoff

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Callable, Optional


SPREAD_S = 0.5  # a thousand watchers that lose their hub at one instant do not move in one
HEALTH_S = 60.0  # of the stream at another hub, before those before it are tried again
RETURN_SPREAD_S = 30.0  # a thousand watchers do not move back in one second
LONG_RETURN_S = 600.0  # a hub that never lives for a minute is tried no more often than this


class Choice:
    """The choice among this many hubs, numbered in the node's order.

    Attributes:
        current: the hub that is tried next, or that the stream is on.
    """

    def __init__(
        self,
        count: int,
        *,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.current = 0
        self._draw = draw
        self._clock = clock
        self._backoffs = [Backoff(draw=draw, clock=clock) for _ in range(count)]
        self._not_before = [clock()] * count
        self._failures = 0
        self._returned_at: Optional[float] = None
        self._health_s = HEALTH_S

    @property
    def backoff(self) -> Backoff:
        """The backoff of the current hub."""
        return self._backoffs[self.current]

    @property
    def connect_s(self) -> float | None:
        """How long a connection to the current hub may take; None if it is the only one.

        While no hub connects, another one in each round gets the time for a lost SYN.
        """
        count = len(self._backoffs)
        if count == 1:
            return None
        rounds, _ = divmod(self._failures, count)
        return PATIENT_S if rounds and (rounds - 1) % count == self.current else CONNECT_S

    def connected(self, *, retry_ms: int | None, cap_s: float | None) -> None:
        """Note that the current hub streams; for the arguments see `Backoff.connected`."""
        self._failures = 0
        self.backoff.connected(retry_ms=retry_ms, cap_s=cap_s)

    def failed(self, delay_s: float, *, had_stream: bool = False) -> float:
        """Leave the current hub alone for this long; return how long to wait before the next try.

        A hub that ended one stream may have ended a thousand, so the next hub is not tried at
        once then.
        """
        former, now = self.current, self._clock()
        self._failures += 1
        self._not_before[former] = now + delay_s
        self._note_health(now)
        places = enumerate(self._not_before)
        ready = [number for number, at in places if at <= now and number != former]
        if ready:
            self.current = ready[0]
            return SPREAD_S * self._draw() if had_stream else 0.0
        soonest_at = min(self._not_before)
        self.current = self._not_before.index(soonest_at)
        return delay_s if self.current == former else max(0.0, soonest_at - now)

    def wait_everywhere(self, delay_s: float) -> float:
        """Leave all hubs alone for this long; return that."""
        self._not_before = [self._clock() + delay_s] * len(self._backoffs)
        return delay_s

    def return_after_s(self) -> float:
        """Return how long to stay at another hub before those before it are tried again."""
        return self._health_s + RETURN_SPREAD_S * self._draw()

    def returned(self, number: int) -> None:
        """Note that the stream has moved back to this hub."""
        self.current = number
        self._returned_at = self._clock()

    def _note_health(self, now: float) -> None:
        """Come back later each time to a hub that was soon lost again."""
        if self._returned_at is None:
            return
        was_healthy = now - self._returned_at >= HEALTH_S
        self._health_s = HEALTH_S if was_healthy else min(LONG_RETURN_S, 2 * self._health_s)
        self._returned_at = None
