"""Pauses in force: whom they hold, for how long, and what other hubs hear."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.bus.guards.pauses import Pauses
from agent_bus.core import errors
from agent_bus.core.guards.hold import FAR_AT, Hold
from agent_bus.core.guards.pauses import AGENT, FLEET, GROUP, Pause
from agent_bus.core.model import AgentName
from agent_bus.store import cluster as told
from agent_bus.store.cluster import ALONE
from tests.support.bus import admitted, bus_in, events
from tests.support.clock import FakeClock
from tests.support.store import ALPHA, BETA, GAMMA, ROSTER, draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def core(tmp_path: Path, clock: FakeClock) -> Iterator[Core]:
    with bus_in(tmp_path, clock=clock) as one:
        yield one


def pause(core: Core, scope: Any, name: str = "", **more: Any) -> Pause:
    return core.pauses.put(scope, name, **{"for_s": None, "note": None, "is_mute": False, **more})


def held(core: Core) -> dict[str, str]:
    return {agent: hold.reason for agent, hold in core.gate.held.items()}


def test_a_group_and_the_fleet_hold_their_agents_until_they_are_resumed(core: Core) -> None:
    pause(core, GROUP, "greeks")
    assert held(core) == {ALPHA: "paused", BETA: "paused"}
    pause(core, FLEET)
    assert held(core) == {ALPHA: "paused", BETA: "paused", GAMMA: "paused"}
    assert core.pauses.end(FLEET, "")
    assert held(core) == {ALPHA: "paused", BETA: "paused"}
    assert core.pauses.end(GROUP, "greeks")
    assert not core.pauses.end(GROUP, "greeks")
    assert held(core) == {}


def test_who_joins_a_paused_group_or_fleet_is_paused(core: Core) -> None:
    pause(core, GROUP, "greeks")
    joined = replace(ROSTER, groups={"greeks": (ALPHA, GAMMA)})
    core.bus.put_roster(joined, force=True, dry_run=False)
    assert held(core) == {ALPHA: "paused", GAMMA: "paused"}
    delta = AgentName("delta")
    core.bus.put_roster(
        replace(ROSTER, agents={**ROSTER.agents, delta: ROSTER.agents[ALPHA]}),
        force=True,
        dry_run=False,
    )
    pause(core, FLEET)
    assert held(core)[delta] == "paused"


def test_a_roster_without_a_paused_group_is_known_to_lose_it(core: Core, clock: FakeClock) -> None:
    renamed = replace(ROSTER, groups={"hellenes": ROSTER.groups["greeks"]})
    assert core.pauses.groups_lost(renamed) == []
    pause(core, GROUP, "greeks", for_s=60)
    assert core.pauses.groups_lost(renamed) == ["greeks"]
    assert core.pauses.groups_lost(replace(ROSTER, groups={"greeks": ()})) == ["greeks"]
    assert core.pauses.groups_lost(ROSTER) == []
    assert core.pauses.groups_lost(replace(ROSTER, agents={}, groups={})) == []
    clock.advance(61)
    assert core.pauses.groups_lost(renamed) == []


def test_urgent_mail_does_not_pass_a_pause(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    pause(core, AGENT, BETA)
    core.bus.send(draft(sender=ALPHA, rank=0))
    assert {one.get("held") for kind, one in events(watcher) if kind == "mailbox"} == {"paused"}


def test_a_pause_with_an_end_ends_by_itself_whatever_the_wall_says(
    core: Core, clock: FakeClock
) -> None:
    until = pause(core, AGENT, BETA, for_s=60, is_mute=True).until_at
    assert core.pauses.muted_until(BETA) == until == clock.now_ms() + 60_000
    clock.jump(-86_400)
    core.pauses.refresh()
    assert core.gate.hold_of(BETA) == Hold("muted", until)
    clock.advance(61)
    core.pauses.refresh()
    assert core.pauses.muted_until(BETA) is None
    assert core.pauses.all() == []
    assert held(core) == {}


def test_a_pause_is_stronger_than_a_mute_and_the_longest_counts(core: Core) -> None:
    pause(core, AGENT, BETA, for_s=60, is_mute=True)
    pause(core, GROUP, "greeks", for_s=30)
    end = pause(core, FLEET, for_s=45).until_at
    assert core.gate.hold_of(BETA) == Hold("paused", end)


def test_a_paused_agent_is_shown_so_only_while_it_could_be_woken(core: Core) -> None:
    pause(core, AGENT, BETA)
    assert core.presence.status(BETA) == "offline"
    watcher = admitted(core, is_watcher=True)
    core.presence.opened(ROSTER.agents[BETA], watcher, (ALPHA, BETA))
    assert core.presence.status(BETA) == "paused"
    core.pauses.end(AGENT, BETA)
    pause(core, AGENT, BETA, for_s=60, is_mute=True)
    assert core.presence.status(BETA) == "online"


@pytest.mark.parametrize("for_s", [None, 30])
def test_a_mute_neither_shortens_nor_ends_a_pause(core: Core, for_s: float | None) -> None:
    until = pause(core, AGENT, BETA, for_s=for_s).until_at
    with pytest.raises(errors.InvalidRequestError, match="agent-bus-admin resume beta"):
        pause(core, AGENT, BETA, for_s=60, is_mute=True)
    core.pauses.end_mute(BETA)
    assert core.gate.hold_of(BETA) == Hold("paused", until)


def test_a_mute_ends_and_begins_again_after_a_pause_that_is_over(
    core: Core, clock: FakeClock
) -> None:
    pause(core, AGENT, BETA, for_s=30)
    clock.advance(31)
    until = pause(core, AGENT, BETA, for_s=60, is_mute=True).until_at
    assert core.gate.hold_of(BETA) == Hold("muted", until)
    core.pauses.end_mute(BETA)
    assert held(core) == {}


def restarted(core: Core) -> Pauses:
    return Pauses(
        book=core.wake_book,
        directory=core.directory,
        gate=core.gate,
        clock=core.clock,
        cluster=ALONE,
    )


def test_pauses_and_mutes_survive_a_restart(core: Core, clock: FakeClock) -> None:
    kept = pause(core, FLEET, note="billing")
    pause(core, AGENT, BETA, for_s=60, is_mute=True)
    clock.advance(30)
    again = restarted(core)
    assert again.all()[0] == kept
    assert again.muted_until(BETA) is not None
    clock.advance(31)
    assert [one.scope for one in again.all()] == ["fleet"]
    assert restarted(core).all() == [kept]


def test_what_another_hub_pauses_is_held_here(core: Core) -> None:
    core.pauses.hear_put(told.PausePut(GROUP, "greeks", "paused", 1))
    assert held(core) == {ALPHA: "paused", BETA: "paused"}
    core.pauses.hear_ended(told.PauseEnded(GROUP, "greeks"))
    assert held(core) == {}


def test_a_mute_of_a_hub_that_knows_no_pauses_is_a_pause(core: Core, clock: FakeClock) -> None:
    until = clock.now_ms() + 60_000
    core.pauses.hear_mute(told.Muted(BETA, until))
    assert core.gate.hold_of(BETA) == Hold("muted", until)
    core.pauses.hear_mute(told.Muted(BETA, 0))
    assert held(core) == {}


def test_what_is_told_for_hubs_that_know_no_pauses_changes_no_pause(core: Core) -> None:
    pause(core, AGENT, BETA)
    core.pauses.hear_mute(told.Muted(BETA, FAR_AT, is_pause=True))
    core.pauses.hear_mute(told.Muted(BETA, 0))
    assert core.gate.hold_of(BETA) == Hold("paused")
