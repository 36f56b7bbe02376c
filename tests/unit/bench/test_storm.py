"""What the storm guard's defaults do to simulated fleets."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from agent_bus.core.guards.storms.ladder import HELD
from agent_bus.core.guards.storms.signals import StormLimits
from agent_bus.settings import Settings
from bench import storm
from bench.storm_fleet import HOUR, MINUTE, Scene, play
from bench.storm_scenes import STORMS, WORK

LIMITS = StormLimits()
MARGIN = 2 / 3
"""Of a limit: how far real work may come."""


@pytest.mark.parametrize("scene", STORMS, ids=lambda scene: scene.name)
def test_every_storm_is_held_and_has_an_end(scene: Scene) -> None:
    fleet = play(scene, LIMITS)
    assert [step[0] for step in fleet.steps[:2]] == ["damped", HELD]
    held_at = fleet.steps[1][3] * MINUTE
    if len(fleet.steps) > 2:  # broadcasts, which are damped again: until then
        fleet = play(replace(scene, until=held_at + LIMITS.quiet_s), LIMITS)
    assert fleet.last_at <= held_at + 8 * MINUTE  # who was woken before goes on for a while
    assert fleet.guard.withheld.count


def test_broadcasts_without_an_end_come_back_ever_more_rarely() -> None:
    scene = replace(STORMS[-1], until=8 * HOUR)
    fleet = play(scene, LIMITS)
    held_at = [minutes for step, _, _, minutes in fleet.steps if step == HELD]
    gaps = [later - before for before, later in itertools.pairwise(held_at)]
    assert len(gaps) > 2
    assert all(later > 1.5 * before for before, later in itertools.pairwise(gaps[1:]))
    first = play(replace(scene, until=HOUR / 4), LIMITS)
    assert fleet.woken < 1.5 * first.woken


@pytest.mark.parametrize("scene", WORK, ids=lambda scene: scene.name)
def test_no_work_is_damped(scene: Scene) -> None:
    fleet = play(scene, LIMITS)
    assert fleet.sent >= 19
    assert fleet.steps == []
    assert fleet.refused == 0


@pytest.mark.parametrize("scene", WORK, ids=lambda scene: scene.name)
def test_work_stays_well_below_the_limits(scene: Scene) -> None:
    tight = replace(
        LIMITS,
        turns=round(LIMITS.turns * MARGIN),
        repeats=round(LIMITS.repeats * MARGIN),
        echoes=round(LIMITS.echoes * MARGIN),
    )
    assert play(scene, tight).steps == []


def test_a_scene_is_the_same_each_time() -> None:
    first, again = (play(STORMS[3], LIMITS).steps for _ in range(2))
    assert first == again


def test_the_tables_of_the_page_are_those_of_the_simulation() -> None:
    assert storm.page(LIMITS) == storm.PAGE.read_text(encoding="utf-8"), "python -m bench.storm"


def test_the_simulation_has_the_hubs_defaults() -> None:
    for name in StormLimits.__slots__:
        assert getattr(LIMITS, name) == Settings.model_fields[f"storm_{name}"].default
