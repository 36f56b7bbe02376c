"""Streams with nothing to write: they need no greenlet, only somebody who calls them.

The loop calls those that have got something, all of a batch in one turn. One greenlet looks when
the next one has to say that it lives.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import TYPE_CHECKING, Final, Protocol

from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from agent_bus.core.clock import Clock

AT_ONCE: Final = 64
"""Streams that are served in one turn of the loop: about 1 ms. Then other connections go on."""


class Parked(Protocol):
    """A stream that can be parked.

    Attributes:
        due: when it has to be called anyway, by the monotonic clock; it only ever grows.
        is_booked: whether it is among those whose time is watched. For `Parking` alone.
        is_called: whether it will be served in one of the next turns. For `Parking` alone.
    """

    due: float
    is_booked: bool
    is_called: bool

    @property
    def has_left(self) -> bool:
        """Whether it is over."""

    def serve_now(self) -> None:
        """Write what there is to write; runs in the loop itself and must not block."""


class Parking:
    """See the module."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._called: list[Parked] = []
        self._booked: list[tuple[float, int, Parked]] = []
        self._numbers = itertools.count()
        self._wakes_at = 0.0
        self._sooner = greenlets.Event()
        self._is_watching = False

    def park(self, one: Parked) -> None:
        """Call it when it is due, unless `call` comes first; never blocks."""
        if one.is_booked:  # its place is an earlier one, where it is looked at again
            return
        self._book(one)
        if not self._is_watching:
            self._is_watching = True
            greenlets.spawn(self._watch)
        elif one.due < self._wakes_at:
            self._sooner.set()

    def call(self, one: Parked) -> None:
        """Let it be served in the loop's next turn; never blocks."""
        if one.is_called:
            return
        one.is_called = True
        self._called.append(one)
        if len(self._called) == 1:
            greenlets.in_loop(self._serve)

    def _book(self, one: Parked) -> None:
        one.is_booked = True
        heapq.heappush(self._booked, (one.due, next(self._numbers), one))

    def _serve(self) -> None:
        called = self._called[:AT_ONCE]
        del self._called[:AT_ONCE]
        if self._called:
            greenlets.in_loop(self._serve)
        for one in called:
            one.is_called = False
            one.serve_now()

    def _watch(self) -> None:
        while True:
            self._call_due()
            self._wakes_at = self._booked[0][0] if self._booked else math.inf
            left_s = self._wakes_at - self._clock.monotonic()
            self._sooner.wait(None if math.isinf(left_s) else max(0.0, left_s))
            self._sooner.clear()

    def _call_due(self) -> None:
        now = self._clock.monotonic()
        while self._booked and self._booked[0][0] <= now:
            _, _, one = heapq.heappop(self._booked)
            one.is_booked = False
            if one.has_left:
                continue
            if one.due > now:
                self._book(one)
            else:
                self.call(one)
