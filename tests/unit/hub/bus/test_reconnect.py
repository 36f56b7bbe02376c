from __future__ import annotations

import pytest

from agent_bus.bus.reconnect import bye_retry_ms, cap_s


@pytest.mark.parametrize(("streams", "seconds"), [(0, 2), (9, 2), (400, 2), (1000, 5), (5000, 25)])
def test_the_cap_grows_with_the_fleet_and_is_two_seconds_for_a_small_one(
    streams: int, seconds: float
) -> None:
    assert cap_s(streams) == seconds


@pytest.mark.parametrize(
    ("streams", "least", "most"),
    [(1, 1000, 1500), (9, 1000, 1500), (100, 1000, 1500), (1000, 1000, 6000)],
)
def test_after_bye_a_fleet_is_spread_over_the_time_that_it_takes_to_serve(
    streams: int, least: int, most: int
) -> None:
    assert bye_retry_ms(1000, streams, draw=0.0) == least
    assert bye_retry_ms(1000, streams, draw=1.0) == most


def test_a_shorter_delay_in_the_settings_shortens_the_spread_of_a_small_fleet() -> None:
    assert [bye_retry_ms(200, 9, draw=draw) for draw in (0.0, 1.0)] == [200, 300]
