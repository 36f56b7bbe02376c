from __future__ import annotations

from lab.faults.hubs.kills import PROCESSES, plan

HUBS = ("elm", "fir", "gorse")


def test_a_seed_repeats_its_kills() -> None:
    assert list(plan(HUBS, 7, 600)) == list(plan(HUBS, 7, 600))
    assert list(plan(HUBS, 7, 600)) != list(plan(HUBS, 8, 600))


def test_kills_fill_the_time_and_reach_every_process_and_every_host() -> None:
    kills = list(plan(HUBS, 7, 3600))
    assert 3600 <= sum(kill.after_s + kill.dark_s for kill in kills) < 3700
    assert {kill.host for kill in kills} == set(HUBS)
    assert {kill.what for kill in kills} == {*PROCESSES, "host"}


def test_only_a_host_stays_dark() -> None:
    assert all((kill.dark_s > 0) == (kill.what == "host") for kill in plan(HUBS, 7, 3600))
