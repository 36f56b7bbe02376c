"""When clients come back: soon, but not all at once. Pure.

Opening a stream with a cursor costs the hub 1.2 ms, and ten times as much with a backlog. So a
fleet is told to spread out so that `STREAMS_PER_S` of its streams come back per second. A small
fleet is back within two seconds. Figures: docs/decisions/0029-when-watchers-come-back.md.
"""

from __future__ import annotations

from typing import Final

STREAMS_PER_S: Final = 200
LEAST_CAP_S: Final = 2.0


def cap_s(streams: int) -> float:
    """The longest wait between two tries in the first minute, for a fleet of this many streams."""
    return max(LEAST_CAP_S, streams / STREAMS_PER_S)


def bye_retry_ms(retry_ms: int, streams: int, *, draw: float) -> int:
    """The wait before the first try after a planned end.

    Args:
        retry_ms: the shortest wait; the hub needs about this long to start.
        streams: how many come back.
        draw: a random number from 0 to 1.
    """
    spread_ms = max(retry_ms / 2, 1000 * streams / STREAMS_PER_S)
    return round(retry_ms + draw * spread_ms)
