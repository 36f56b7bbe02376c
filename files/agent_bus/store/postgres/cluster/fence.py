"""What a hub does with its clients while it cannot write: keep them, or send them to other hubs.

A hub cannot see by itself whether there is no primary at all, or whether it alone is cut off. So
it asks the other hubs when they wrote last. Clients are sent away where that can help them.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.core.clock import Clock
    from agent_bus.store.cluster import Hearer, Writing
    from agent_bus.store.postgres.cluster.members import Members

    Ask = Callable[[], Writing | None]
    """Asks another hub how it writes; None: it does not say. Blocks its greenlet.

    Raises:
        OSError: it does not answer.
    """

logger = logging.getLogger(__name__)

FENCE_S: Final = 5.0
"""A hub that has tried to write in vain for this time is away from the primary. A connection that
hangs is given up after 3 s, so the next one has its chance."""
ASK_AFTER_S: Final = FENCE_S - 1.0
ASK_EVERY_S: Final = 1.0
LATER_S: Final = 1.0
"""Another hub that wrote so much later than this one began to try reaches a primary that this one
does not."""
STEADY_S: Final = 6.0
"""Another hub that has written for less has just found the primary, as this one will."""
FRESH_S: Final = 4.0
"""How long an answer counts."""
ALONE_S: Final = FENCE_S + 3.0
"""Then others have been asked twice, each time for as long as an answer may take."""


@dataclass(slots=True)
class _Other:
    """Another hub: when it answered last, and until and since when it had written then.

    All in this hub's time.
    """

    ask: Ask
    asked: float = -math.inf
    answered: float = -math.inf
    wrote: float = -math.inf
    since: float = math.inf
    is_asking: bool = False


class Fence:
    """See the module; a cluster looks at it every half second.

    Args:
        trying_since: since when (monotonic) this hub has tried to write in vain; None: it has not.
        asks: one for each other hub of the fleet. Without any, clients are sent away as soon as
            the primary is, if others were heard of.
    """

    def __init__(
        self,
        members: Members,
        asks: Sequence[Ask],
        *,
        trying_since: Callable[[], float | None],
        clock: Clock,
    ) -> None:
        self._members = members
        self._others = [_Other(ask) for ask in asks]
        self._trying_since = trying_since
        self._clock = clock
        self._hearer: Hearer | None = None
        self._is_closed = False
        self._has_sent_away = False
        self._told = ""

    def hear(self, hearer: Hearer) -> None:
        """Tell `hearer` from now on."""
        self._hearer = hearer

    @property
    def is_away(self) -> bool:
        """Whether the primary has been out of reach for some time."""
        since = self._trying_since()
        return since is not None and self._clock.monotonic() - since > FENCE_S

    def look(self) -> None:
        """Ask the others, if it is time to, and go by what they have answered so far."""
        now, since = self._clock.monotonic(), self._trying_since()
        if since is None or now - since < ASK_AFTER_S:
            return
        for other in self._others:
            if not other.is_asking and now - other.asked >= ASK_EVERY_S:
                other.asked, other.is_asking = now, True
                greenlets.spawn(self._ask, other)
        if now - since > FENCE_S:
            self._judge(now, since)

    def lift(self) -> None:
        """A write was acknowledged."""
        if not self._told:
            return
        logger.warning("The primary is in reach again")
        self._told = ""
        self._has_sent_away = False
        self._open()
        if self._hearer is not None:
            self._hearer.on_back()

    def _judge(self, now: float, since: float) -> None:
        """Send clients away where that can help them.

        - Another hub writes: to that one. None is taken here meanwhile.
        - Most hubs answer, and none writes: there is no primary, and nowhere to go. All stay.
        - Most hubs do not answer: this one may be cut off, or one of few that are left. Clients
          are sent away once. Those that find no other hub come back, and may stay.
        """
        away_s = now - since
        if self._is_served_elsewhere(now, since):
            self._tell(away_s, "another hub reaches it: clients are sent there")
            self._close()
        elif self._is_in_majority(now):
            self._tell(away_s, "no other hub reaches it: streams stay")
            self._open()
        elif away_s > ALONE_S and self._others:
            self._tell(away_s, "most hubs do not answer: clients are sent away once")
            if not self._has_sent_away:
                self._close()
            self._open()

    def _is_served_elsewhere(self, now: float, since: float) -> bool:
        if not self._others:
            return bool(self._members)
        return any(
            one.wrote > since + LATER_S
            and now - one.wrote < FENCE_S
            and one.wrote - one.since > STEADY_S
            for one in self._others
        )

    def _is_in_majority(self, now: float) -> bool:
        answering = sum(now - one.answered < FRESH_S for one in self._others)
        return 2 * (answering + 1) > len(self._others) + 1 and bool(self._others)

    def _ask(self, other: _Other) -> None:
        try:
            writing = other.ask()
        except OSError as error:
            logger.debug("Another hub does not answer: %s", error)
            return
        finally:
            other.is_asking = False
        other.answered = self._clock.monotonic()
        if writing is not None:
            other.wrote = other.answered - writing.last_s_ago
            other.since = other.wrote - writing.for_s

    def _tell(self, away_s: float, what: str) -> None:
        if self._told != what:
            self._told = what
            logger.warning("The primary was out of reach for %.1f s, and %s", away_s, what)

    def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = self._has_sent_away = True
            self._turn()

    def _open(self) -> None:
        if self._is_closed:
            self._is_closed = False
            self._turn()

    def _turn(self) -> None:
        if self._hearer is not None:
            self._hearer.on_fence(is_fenced=self._is_closed)
