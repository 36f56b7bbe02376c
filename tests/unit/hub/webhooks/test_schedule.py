"""When an event is tried again, and what an answer means."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from agent_bus.webhooks import schedule

HOUR_MS = 3_600_000


def never() -> float:
    return 0.0


def test_an_event_is_tried_as_standard_webhooks_says_for_three_days() -> None:
    now, attempts, waits = 0, 0, []
    while True:
        attempts += 1
        next_at = schedule.next_attempt(attempts, 0, now, chance=never)
        if next_at is None:
            break
        waits.append((next_at - now) / 1000)
        now = next_at
    hours = [5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20]
    assert waits[:8] == [hour * 3600 for hour in hours]
    assert now == 72 * HOUR_MS
    assert len(waits) == 9


def test_each_wait_is_longer_by_up_to_a_tenth() -> None:
    chances = iter((0.0, 0.5, 1.0))
    waits = [schedule.next_attempt(1, 0, 0, chance=lambda: next(chances)) for _ in range(3)]
    assert waits == [5000, 5250, 5500]


def test_an_event_has_three_attempts_however_long_the_hub_was_away() -> None:
    late = 100 * HOUR_MS
    found = [schedule.next_attempt(n, 0, late, chance=never) for n in (1, 2, 3)]
    assert found == [late + 5000, late + 300_000, None]


def test_a_hold_grows_to_five_minutes_or_to_what_the_receiver_asks_for() -> None:
    assert [schedule.hold_ms(n, None, chance=never) for n in (1, 2, 3, 50)] == [
        5000, 300_000, 300_000, 300_000,
    ]  # fmt: skip
    assert schedule.hold_ms(1, 120.0, chance=never) == 120_000
    assert schedule.hold_ms(1, 1.0, chance=never) == 5000


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, "delivered"), (204, "delivered"), (299, "delivered"),
        (301, "away"), (302, "away"), (308, "away"), (304, "away"),
        (400, "refused"), (413, "refused"), (422, "refused"),
        (401, "away"), (403, "away"), (404, "away"), (429, "away"),
        (410, "gone"), (500, "away"), (503, "away"), (101, "away"), (999, "away"),
    ],
)  # fmt: skip
def test_a_status_says_whether_it_is_about_the_event_or_the_receiver(
    status: int, verdict: str
) -> None:
    assert schedule.verdict(status) == verdict


def test_a_redirect_is_named_and_what_a_receiver_says_is_cut() -> None:
    assert schedule.words(301, "Moved").startswith("301 Moved: redirects are not followed")
    assert schedule.words(500, "no\r\nline" + "x" * 100) == "500 noline" + "x" * 54


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("120", 120.0), ("0", 0.0), (" 7 ", 7.0), ("9" * 50, 3600.0),
        ("soon", None), ("-5", None), ("1.5", None), ("\u0663", None),
        (format_datetime(datetime.fromtimestamp(1060, UTC), usegmt=True), 60.0),
        (format_datetime(datetime.fromtimestamp(10, UTC), usegmt=True), 0.0),
        (format_datetime(datetime.fromtimestamp(999_999, UTC), usegmt=True), 3600.0),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_both_forms_up_to_an_hour(
    value: str | None, seconds: float | None
) -> None:
    assert schedule.retry_after_s(value, 1000.0) == seconds
