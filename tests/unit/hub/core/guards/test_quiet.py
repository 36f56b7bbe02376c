"""Quiet hours and digests, on days when the clock is moved, too."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus.core.guards.quiet import Digest, QuietHours, Times

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(7), frozenset({"urgent"}))
MORNING = Digest(time(7, 30), None)
MINUTE_MS = 60_000


def ms(text: str, zone: ZoneInfo = BERLIN) -> int:
    """A local time as ms; `fold` is said by a final `*`."""
    local = datetime.fromisoformat(text.rstrip("*")).replace(tzinfo=zone, fold=text.endswith("*"))
    return round(local.timestamp() * 1000)


def local(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(BERLIN).strftime("%m-%d %H:%M%z")


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-29 21:59", None),
        ("2026-11-29 22:00", "11-30 07:00+0100"),
        ("2026-11-30 00:30", "11-30 07:00+0100"),
        ("2026-11-30 06:59", "11-30 07:00+0100"),
        ("2026-11-30 07:00", None),
        ("2026-03-28 23:00", "03-29 07:00+0200"),  # the night of the spring is shorter
        ("2026-10-24 23:00", "10-25 07:00+0100"),  # that of autumn is longer
    ],
)
def test_quiet_hours_go_over_midnight(at: str, until: str | None) -> None:
    found = Times(BERLIN, quiet=NIGHT).quiet_until(ms(at))
    assert (None if found is None else local(found)) == until


def test_quiet_hours_within_a_day_and_those_that_begin_in_the_skipped_hour() -> None:
    noon = Times(BERLIN, quiet=QuietHours(time(12), time(13)))
    assert noon.quiet_until(ms("2026-11-29 12:30")) == ms("2026-11-29 13:00")
    assert noon.quiet_until(ms("2026-11-29 13:00")) is None
    skipped = Times(BERLIN, quiet=QuietHours(time(2, 30), time(5)))
    assert skipped.quiet_until(ms("2026-03-29 03:29")) is None
    assert skipped.quiet_until(ms("2026-03-29 03:30")) == ms("2026-03-29 05:00")
    twice = Times(BERLIN, quiet=QuietHours(time(2, 30), time(2, 45)))
    assert twice.quiet_until(ms("2026-10-25 02:31")) == ms("2026-10-25 02:45")
    assert twice.quiet_until(ms("2026-10-25 02:31*")) is None


def test_what_is_excepted_passes_at_night_and_all_else_waits() -> None:
    times = Times(BERLIN, quiet=NIGHT)
    now = ms("2026-11-29 23:00")
    assert times.release_at(now, now, "urgent") == now
    assert times.release_at(now, now, "high") == ms("2026-11-30 07:00")
    strict = Times(BERLIN, quiet=QuietHours(time(22), time(7)))
    assert strict.release_at(now, now, "urgent") == ms("2026-11-30 07:00")


def test_a_digest_gathers_until_its_time_of_day() -> None:
    times = Times(BERLIN, digest=MORNING)
    came = ms("2026-11-29 07:30")
    assert times.release_at(came, came, "high") == ms("2026-11-30 07:30")
    assert times.release_at(came - 1, came, "high") == came
    late = ms("2026-12-05 12:00")
    assert times.release_at(came, late, "high") == late  # the hub was away


def test_a_digest_that_ends_in_the_night_waits_for_its_end() -> None:
    times = Times(BERLIN, quiet=NIGHT, digest=Digest(time(23), None))
    came = ms("2026-11-29 18:00")
    assert times.release_at(came, came, "high") == ms("2026-11-30 07:00")


def test_slots_of_minutes_are_counted_from_midnight() -> None:
    times = Times(BERLIN, digest=Digest(None, 90))
    assert local(times.next_slot(ms("2026-11-29 10:31"))) == "11-29 12:00+0100"
    assert local(times.next_slot(ms("2026-11-29 23:00"))) == "11-30 00:00+0100"
    assert local(times.next_slot(ms("2026-03-29 01:40"))) == "03-29 03:00+0200"
    daily = Times(BERLIN, digest=Digest(None, 24 * 60))
    assert local(daily.next_slot(ms("2026-11-29 00:00"))) == "11-30 00:00+0100"


@given(
    st.integers(0, 2**41),
    st.sampled_from(
        ["Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"]
    ),
    st.times(),
    st.times(),
    st.integers(5, 1440),
)
def test_what_waits_is_released_later_and_never_more_than_two_days_later(
    now: int, zone: str, start: time, end: time, every: int
) -> None:
    times = Times(ZoneInfo(zone), QuietHours(start, end), Digest(None, every))
    at = times.release_at(now, now, "high")
    assert now <= at <= now + 51 * 60 * MINUTE_MS
    assert at == now or times.quiet_until(at) is None or start == end
    assert times.release_at(now, at, "high") == at or times.quiet_until(at) is not None
