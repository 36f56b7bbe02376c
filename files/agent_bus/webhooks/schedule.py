"""When an event is tried again, and what an answer means; pure.

The times are those of Standard Webhooks. An event that fails waits by its own count of attempts.
Besides, a webhook whose receiver seems to be away is held as a whole, and then tried with one
event: the one whose turn comes first, so that an event that the receiver cannot take does not hold
the others up for long.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

DELAYS_S: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Before the second attempt, the third, and so on; Standard Webhooks' example schedule."""
JITTER: Final = 0.1
"""A delay is longer by up to this part, so that receivers are not asked by all at once."""
GIVEN_UP_MS: Final = 3 * 24 * 3600 * 1000
"""After this, an attempt that fails is an event's last one."""
LEAST_ATTEMPTS: Final = 3
"""An event has so many however old it is: the hub itself may have been away for days."""
LONG_AWAY: Final = len(DELAYS_S)
"""Failures in a row after which what is older than GIVEN_UP_MS is given up unasked."""
HOLD_S: Final = 300
"""The longest hold of a webhook: when its receiver is back, it is noticed within this time."""
RETRY_AFTER_S: Final = 3600
"""The longest time that a receiver may ask for."""

Verdict = Literal["delivered", "refused", "away", "gone", "held", "unwanted"]
"""Taken; not this event; not now, whatever the event; never again. Not tried: its time has not
come; nobody wants it any more."""
DELIVERED: Final = "delivered"
REFUSED: Final = "refused"
AWAY: Final = "away"
GONE: Final = "gone"
HELD: Final = "held"
UNWANTED: Final = "unwanted"

OF_THE_RECEIVER: Final = frozenset({401, 402, 403, 404, 405, 407, 408, 421, 425, 426, 429, 431})
"""Client errors that say something of the receiver or of the webhook's URL, not of the event."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one request came to; `retry_after_s` is what the receiver asked for, or a hold."""

    verdict: Verdict
    words: str
    retry_after_s: float | None = None


def verdict(status: int) -> Verdict:
    """What a status means."""
    if 200 <= status < 300:  # noqa: PLR2004 - success
        return DELIVERED
    if status == 410:  # noqa: PLR2004 - Gone: Standard Webhooks asks senders to stop
        return GONE
    if 400 <= status < 500 and status not in OF_THE_RECEIVER:  # noqa: PLR2004 - client errors
        return REFUSED
    return AWAY


def words(status: int, reason: str) -> str:
    """An answer that is no success, as the operator reads it."""
    shown = "".join(char for char in reason if char.isprintable())[:60]
    said = f"{status} {shown}".strip()
    if 300 <= status < 400:  # noqa: PLR2004 - redirections
        return f"{said}: redirects are not followed; set the final address"
    return said


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """A Retry-After header in seconds from now, at most an hour; None: none that can be read."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), RETRY_AFTER_S))
    try:
        at = parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(0.0, at - now_s), RETRY_AFTER_S)


def next_attempt(
    attempts: int, queued_at: int, now: int, *, chance: Callable[[], float]
) -> int | None:
    """When (steady ms) an event is tried again whose attempt number `attempts` failed just now.

    The last attempt comes three days after the first. None: it was this one.
    """
    last = queued_at + GIVEN_UP_MS
    if now >= last and attempts >= LEAST_ATTEMPTS:
        return None
    planned = now + _jittered_ms(DELAYS_S[min(attempts, len(DELAYS_S)) - 1], chance)
    return min(planned, last) if now < last else planned


def hold_ms(failures: int, asked_s: float | None, *, chance: Callable[[], float]) -> int:
    """For how long a webhook is held after so many failures in a row."""
    own_ms = _jittered_ms(min(DELAYS_S[min(failures, len(DELAYS_S)) - 1], HOLD_S), chance)
    return own_ms if asked_s is None else max(own_ms, round(asked_s * 1000))


def _jittered_ms(delay_s: float, chance: Callable[[], float]) -> int:
    return round(delay_s * 1000 * (1 + JITTER * chance()))
