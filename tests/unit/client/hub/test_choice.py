"""At which hub a watcher opens its stream next: a clock and dice of the test."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus_client.hub.choice import (
    HEALTH_S,
    LONG_RETURN_S,
    RETURN_SPREAD_S,
    SPREAD_S,
    Choice,
)
from agent_bus_client.hub.hubs import CONNECT_S, PATIENT_S

if TYPE_CHECKING:
    from collections.abc import Callable


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def choose(time: Time) -> Callable[..., Choice]:
    return lambda count=3, draw=1.0: Choice(count, draw=lambda: draw, clock=time)


def refused(choice: Choice) -> float:
    """The current hub cannot be reached; return the wait before the next try."""
    return choice.failed(choice.backoff.next_delay_s())


def test_an_only_hub_is_tried_again_after_each_wait(choose: Callable[..., Choice]) -> None:
    only = choose(1)
    assert only.connect_s is None
    assert [refused(only) for _ in range(5)] == [0.5, 1.0, 2.0, 2.0, 2.0]
    assert only.failed(30.0, had_stream=True) == 30.0


def test_one_dead_hub_after_the_other_is_left_without_a_wait(
    choose: Callable[..., Choice],
) -> None:
    choice = choose()
    assert (refused(choice), choice.current) == (0.0, 1)
    assert (refused(choice), choice.current) == (0.0, 2)
    assert (refused(choice), choice.current) == (0.5, 0)  # all are dead: the first is due first


def test_a_stream_that_was_cut_moves_within_half_a_second(choose: Callable[..., Choice]) -> None:
    assert choose(draw=1.0).failed(0.3, had_stream=True) == SPREAD_S == 0.5
    assert choose(draw=0.0).failed(0.0, had_stream=True) == 0.0


def test_even_a_hub_that_may_be_tried_at_once_is_left(choose: Callable[..., Choice]) -> None:
    choice = choose(2, draw=0.0)
    assert (refused(choice), choice.current) == (0.0, 1)
    assert (refused(choice), choice.current) == (0.0, 0)


@given(count=st.integers(2, 5), draws=st.lists(st.floats(0, 1), min_size=60, max_size=60))
def test_with_all_dead_no_hub_is_tried_more_often_than_an_only_one(
    count: int, draws: list[float]
) -> None:
    """With the same dice, the tries of each hub are as far apart as its own backoff says."""
    time, dice = Time(), iter(draws)
    choice = Choice(count, draw=lambda: next(dice), clock=time)
    not_before = [0.0] * count
    for _ in range(60):
        assert time.now >= not_before[choice.current]
        number, delay_s = choice.current, choice.backoff.next_delay_s()
        not_before[number] = time.now + delay_s
        time.now += choice.failed(delay_s) + 1e-9


def test_with_all_dead_the_waits_grow_to_those_of_an_only_hub(
    choose: Callable[..., Choice], time: Time
) -> None:
    choice = choose(3)
    tries: list[list[float]] = [[], [], []]
    for _ in range(300):
        tries[choice.current].append(time.now)
        time.now += refused(choice)
    for of_one in tries:
        apart = [b - a for a, b in itertools.pairwise(of_one)]
        assert apart[:3] == [0.5, 1.0, 2.0]
        assert max(apart) == 30.0


def test_while_nobody_connects_one_hub_per_round_gets_the_time_for_a_lost_packet(
    choose: Callable[..., Choice], time: Time
) -> None:
    choice, patient = choose(), []
    for _ in range(12):
        patient.append((choice.current, choice.connect_s == PATIENT_S))
        time.now += 10 + refused(choice)
        choice.current = (patient[-1][0] + 1) % 3  # hubs that are all due come in any order
    assert [number for number, is_patient in patient if is_patient] == [0, 1, 2]
    assert not any(is_patient for _, is_patient in patient[:3])
    choice.connected(retry_ms=None, cap_s=None)
    assert choice.connect_s == CONNECT_S


def test_a_watcher_that_was_replaced_goes_on_nowhere(choose: Callable[..., Choice]) -> None:
    choice = choose()
    assert choice.wait_everywhere(30.0) == 30.0
    assert choice.current == 0


def test_after_a_minute_the_way_back_begins_and_not_for_all_at_once(
    choose: Callable[..., Choice],
) -> None:
    assert choose(draw=0.0).return_after_s() == HEALTH_S == 60.0
    assert choose(draw=1.0).return_after_s() == HEALTH_S + RETURN_SPREAD_S


def test_a_hub_that_is_soon_lost_again_is_returned_to_later_each_time(
    choose: Callable[..., Choice], time: Time
) -> None:
    choice, waits = choose(draw=0.0), []
    for _ in range(6):
        refused(choice)
        waits.append(choice.return_after_s())
        choice.returned(0)
        time.now += 5
    assert waits == [60, 120, 240, 480, LONG_RETURN_S, LONG_RETURN_S]
    time.now += HEALTH_S
    refused(choice)
    assert choice.return_after_s() == HEALTH_S
