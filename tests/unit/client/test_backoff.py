from __future__ import annotations

import pytest

from agent_bus_client.backoff import CAP_S, Backoff, parse_retry_after


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    backoff = Backoff(base_s=1.0, draw=lambda: 1.0)
    assert [backoff.next_delay_s() for _ in range(7)] == [1, 2, 4, 8, 16, CAP_S, CAP_S]


def test_full_jitter_may_be_nothing() -> None:
    assert Backoff(draw=lambda: 0.0).next_delay_s() == 0.0


def test_a_healthy_connection_starts_anew_and_a_short_one_does_not() -> None:
    backoff = Backoff(draw=lambda: 1.0)
    backoff.next_delay_s()
    backoff.connected_for(5)
    assert backoff.next_delay_s() == 2.0
    backoff.connected_for(60)
    assert backoff.next_delay_s() == 1.0


def test_retry_after_is_a_lower_bound() -> None:
    assert Backoff(draw=lambda: 0.0).next_delay_s(60.0) == 60.0
    assert Backoff(draw=lambda: 0.5).next_delay_s(60.0) == 60.5


def test_a_long_outage_does_not_overflow() -> None:
    backoff = Backoff(draw=lambda: 1.0)
    assert max(backoff.next_delay_s() for _ in range(5000)) == CAP_S


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("60", 60.0), (" 1 ", 1.0), ("99999999", 600.0), (None, None), ("soon", None), ("-1", None)],
)
def test_retry_after_is_parsed(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds
