"""Which clients a hub keeps while it cannot write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_bus.runtime import greenlets
from agent_bus.store.cluster import Writing
from agent_bus.store.postgres.cluster.fence import FENCE_S, STEADY_S, Fence
from agent_bus.store.postgres.cluster.members import Members
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from agent_bus.store.postgres.cluster.fence import Ask

LONG = 3600.0


class Played:
    """A hub of three that has just begun to write in vain, and the two others."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.members = Members("a", self.clock)
        self.turns: list[bool] = []
        self.others: list[Writing | OSError | None] = [OSError("silent")] * 2
        asks = [lambda: self.answer(0), lambda: self.answer(1)]
        self.backs = 0
        self.since: float | None = self.clock.monotonic()
        self.fence = self.made(asks)
        self.fence.hear(self)  # type: ignore[arg-type] # of a hearer, these are used

    def made(self, asks: list[Ask]) -> Fence:
        return Fence(self.members, asks, trying_since=lambda: self.since, clock=self.clock)

    def write(self) -> None:
        self.since = None
        self.fence.lift()

    def answer(self, number: int) -> Writing | None:
        answer = self.others[number]
        if isinstance(answer, OSError):
            raise answer
        return answer

    def on_fence(self, *, is_fenced: bool) -> None:
        self.turns.append(is_fenced)

    def on_back(self) -> None:
        self.backs += 1

    def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)
            self.fence.look()
            greenlets.sleep(0)  # those who are asked answer


@pytest.fixture
def played() -> Played:
    return Played()


def away(s: float) -> Writing:
    """What a hub says that has not written for some time, as this one."""
    return Writing(s, LONG)


def test_clients_go_where_another_hub_writes_until_this_one_does(played: Played) -> None:
    played.others[0] = Writing(0.5, LONG)
    played.pass_time(FENCE_S)
    assert not played.turns
    played.pass_time(1)
    assert played.turns == [True]
    played.pass_time(60)
    assert played.turns == [True]
    played.write()
    played.pass_time(60)
    assert played.turns == [True, False]


def test_clients_stay_while_no_hub_writes(played: Played) -> None:
    for tenths in range(600):
        played.others[0] = away(tenths / 10)
        played.clock.advance(0.1)
        played.fence.look()
        greenlets.sleep(0)
    assert not played.turns
    played.write()
    played.write()
    assert played.backs == 1


def test_clients_stay_when_another_hub_has_just_found_the_primary(played: Played) -> None:
    played.others = [away(100), away(100)]
    played.pass_time(30)
    played.others[0] = Writing(0.0, 0.0)
    played.pass_time(4)
    assert not played.turns
    played.others[0] = Writing(0.0, STEADY_S + 1)
    played.pass_time(2)
    assert played.turns == [True]


def test_a_hub_that_hears_of_nobody_sends_clients_away_once(played: Played) -> None:
    played.pass_time(60)
    assert played.turns == [True, False]
    played.others[0] = Writing(0.5, LONG)  # another hub is found that writes
    played.pass_time(2)
    assert played.turns == [True, False, True]


def test_clients_are_taken_again_when_the_others_lose_the_primary_too(played: Played) -> None:
    played.others = [Writing(0.5, LONG)] * 2
    played.pass_time(10)
    played.others = [away(LONG)] * 2
    played.pass_time(10)
    assert played.turns == [True, False]


def test_one_of_two_that_answers_is_a_majority_of_three(played: Played) -> None:
    played.others[1] = None  # of a release that does not say how it writes
    played.pass_time(60)
    assert not played.turns


def test_without_addresses_clients_are_sent_away_if_there_are_other_hubs() -> None:
    played = Played()
    fence = played.made([])
    fence.hear(played)  # type: ignore[arg-type]
    played.clock.advance(60)
    fence.look()
    assert not played.turns
    played.members.hear("b")
    fence.look()
    assert played.turns == [True]
