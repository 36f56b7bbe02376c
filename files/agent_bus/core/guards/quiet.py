"""When a channel may tell the operator of a message: quiet hours and digests; pure.

Times of day are those of the channel's time zone. Of a time that comes twice in autumn the first
one counts. One that the clock skips in spring comes as much later as the clock is moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import tzinfo

    from agent_bus.core.states import Priority

DAY_MIN: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of day to another, over midnight if the end is the earlier one."""

    start: time
    end: time
    excepted: frozenset[Priority] = frozenset()


@dataclass(frozen=True, slots=True)
class Digest:
    """What comes is gathered until the next slot: one time of day, or every so many minutes.

    Slots of `every_min` are counted from midnight, so that each hub and each restart finds the
    same ones.
    """

    at: time | None
    every_min: int | None
    excepted: frozenset[Priority] = frozenset()


@dataclass(frozen=True, slots=True)
class Times:
    """When a channel tells."""

    zone: tzinfo
    quiet: QuietHours | None = None
    digest: Digest | None = None

    def release_at(self, came_at: int, now: int, priority: Priority) -> int:
        """When (ms) a message that came then may be told of; at most `now`: at once.

        Args:
            came_at: when it came (ms).
            now: the time (ms).
            priority: the message's.
        """
        at = now
        if self.digest is not None and priority not in self.digest.excepted:
            at = max(now, self.next_slot(came_at))
        if self.quiet is not None and priority not in self.quiet.excepted:
            at = max(at, self.quiet_until(at) or at)
        return at

    def next_slot(self, after: int) -> int:
        """The digest's first slot (ms) after a time."""
        assert self.digest is not None
        local = self._local(after)
        days = (local.date(), local.date() + timedelta(days=1))
        return min(slot for day in days for slot in self._slots(day) if slot > after)

    def quiet_until(self, at: int) -> int | None:
        """When (ms) the quiet hours end that a time falls into; None: into none."""
        if self.quiet is None:
            return None
        today = self._local(at).date()
        for day in (today - timedelta(days=1), today):
            start = self._ms(day, self.quiet.start)
            over_midnight = self.quiet.end <= self.quiet.start
            end = self._ms(day + timedelta(days=over_midnight), self.quiet.end)
            if start <= at < end:
                return end
        return None

    def _slots(self, day: date) -> list[int]:
        assert self.digest is not None
        if self.digest.at is not None:
            return [self._ms(day, self.digest.at)]
        minutes = range(0, DAY_MIN, self.digest.every_min or DAY_MIN)
        return [self._ms(day, time(minute // 60, minute % 60)) for minute in minutes]

    def _local(self, at: int) -> datetime:
        return datetime.fromtimestamp(at / 1000, UTC).astimezone(self.zone)

    def _ms(self, day: date, at: time) -> int:
        """A time of day as ms since 1970."""
        return round(datetime.combine(day, at, tzinfo=self.zone).timestamp() * 1000)
