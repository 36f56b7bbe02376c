from __future__ import annotations

import random

import pytest

from agent_bus_client.net.backoff import (
    CAP_S,
    FIRST_MINUTE_S,
    LONG_CAP_S,
    Backoff,
    parse_retry_after,
)


class Outage:
    """A hub that is away, with its own clock: waits take no real time."""

    def __init__(self, *, draw: float | None = None, seed: int = 0, **more: float) -> None:
        self.now = 1000.0
        source = random.Random(seed)
        self.backoff = Backoff(
            draw=source.random if draw is None else lambda: draw, clock=lambda: self.now, **more
        )

    def wait(self) -> float:
        delay_s = self.backoff.next_delay_s()
        self.now += delay_s
        return delay_s

    def back_after(self, outage_s: float) -> float:
        """Return how long after the hub's return the first try comes."""
        returned = self.now + outage_s
        while self.now < returned:
            self.wait()
        return self.now - returned


def test_a_cut_is_followed_by_half_a_second_doubling_to_the_cap() -> None:
    outage = Outage(draw=1.0)
    assert [outage.wait() for _ in range(5)] == [0.5, 1, 2, CAP_S, CAP_S]


def test_the_cap_is_the_one_that_the_hub_told() -> None:
    outage = Outage(draw=1.0)
    outage.backoff.cap_s = 5.0
    assert [outage.wait() for _ in range(6)] == [0.5, 1, 2, 4, 5, 5]


def test_waits_grow_long_only_past_the_first_minute() -> None:
    outage = Outage(draw=1.0)
    early: list[float] = []
    late: list[float] = []
    while outage.now < 1000.0 + 600:
        waits = early if outage.now < 1000.0 + FIRST_MINUTE_S else late
        waits.append(outage.wait())
    assert max(early) == CAP_S
    assert late[:6] == [4, 8, 16, LONG_CAP_S, LONG_CAP_S, LONG_CAP_S]


def test_an_answer_begins_the_minute_anew() -> None:
    outage = Outage(draw=1.0)
    outage.back_after(FIRST_MINUTE_S + 30)
    outage.backoff.connected()
    assert max(outage.wait() for _ in range(20)) == CAP_S


@pytest.mark.parametrize("outage_s", [0.0, 1.0, 5.0, 50.0])
@pytest.mark.parametrize("planned", [False, True])
def test_whoever_waits_for_a_hub_is_back_within_the_cap(outage_s: float, planned: bool) -> None:  # noqa: FBT001 - a parameter
    late = []
    for seed in range(500):
        outage = Outage(seed=seed)
        if planned:
            outage.now += outage.backoff.planned_delay_s(1.0 + outage.backoff._draw() / 2)
        late.append(outage.back_after(outage_s))
    assert max(late) <= CAP_S


def test_after_a_planned_end_the_hub_says_when_and_then_the_upper_half_is_drawn_from() -> None:
    outage = Outage(draw=0.0)
    assert outage.backoff.planned_delay_s(1.3) == 1.3
    assert [outage.wait() for _ in range(3)] == [0.5, 1.0, 1.0]
    highest = Outage(draw=1.0)
    highest.backoff.planned_delay_s(1.3)
    assert [highest.wait() for _ in range(3)] == [1.0, 2.0, 2.0]


def test_a_cut_after_a_planned_end_is_a_cut() -> None:
    outage = Outage(draw=0.0)
    outage.backoff.planned_delay_s(1.0)
    outage.backoff.connected()
    assert outage.wait() == 0.0


def test_full_jitter_may_be_nothing() -> None:
    assert Outage(draw=0.0).wait() == 0.0


def test_a_healthy_connection_starts_the_doubling_anew_and_a_short_one_does_not() -> None:
    outage = Outage(draw=1.0)
    outage.wait()
    outage.backoff.connected_for(5)
    assert outage.wait() == 1.0
    outage.backoff.connected_for(60)
    assert outage.wait() == 0.5


def test_retry_after_is_a_lower_bound() -> None:
    assert Backoff(draw=lambda: 0.0).next_delay_s(60.0) == 60.0
    assert Backoff(draw=lambda: 0.5).next_delay_s(60.0) == 60.25


def test_a_long_outage_does_not_overflow() -> None:
    outage = Outage(draw=1.0)
    assert max(outage.wait() for _ in range(5000)) == LONG_CAP_S


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("60", 60.0), (" 1 ", 1.0), ("99999999", 600.0), (None, None), ("soon", None), ("-1", None)],
)
def test_retry_after_is_parsed(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds
