"""Pauses: what the operator keeps from being woken, until somebody ends it or its time is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from agent_bus.core import states
from agent_bus.core.guards.hold import Hold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_bus.core.model import AgentName, Roster
    from agent_bus.core.states import HoldReason

Scope = Literal["fleet", "group", "agent"]
FLEET: Final = "fleet"
GROUP: Final = "group"
AGENT: Final = "agent"
EVERYBODY: Final = "all"
"""How the whole fleet is named where an agent or `@group` may stand; no agent has that name."""


@dataclass(frozen=True, slots=True)
class Pause:
    """What is kept from being woken; times are wall-clock ms.

    `name` is empty for the fleet. A mute is a pause of one agent that has an end.
    """

    scope: Scope
    name: str
    reason: HoldReason
    since_at: int
    until_at: int | None = None
    note: str | None = None

    @property
    def who(self) -> str:
        """As people write it: `alpha`, `@research`, `all`."""
        return named(self.scope, self.name)

    @property
    def hold(self) -> Hold:
        """What it does to an agent."""
        return Hold(self.reason, self.until_at)


def named(scope: Scope, name: str) -> str:
    """A scope with its name, as people write it."""
    return {FLEET: EVERYBODY, GROUP: f"@{name}"}.get(scope, name)


def scope_of(who: str) -> tuple[Scope, str]:
    """What is meant by `alpha`, `@research` or `all`."""
    if who == EVERYBODY:
        return FLEET, ""
    if who.startswith("@"):
        return GROUP, who[1:]
    return AGENT, who


def holding(pauses: Iterable[Pause], agent: AgentName, roster: Roster) -> list[Pause]:
    """The pauses that hold an agent: its own, its groups', the fleet's."""
    return [
        pause
        for pause in pauses
        if pause.scope == FLEET
        or (pause.scope == AGENT and pause.name == agent)
        or (pause.scope == GROUP and agent in roster.groups.get(pause.name, ()))
    ]


def held(pauses: Iterable[Pause], roster: Roster) -> dict[AgentName, Hold]:
    """Every active agent that a pause holds.

    Of several the strongest one counts: a pause before a mute, then the one that lasts longest.
    """
    listed = list(pauses)
    found: dict[AgentName, Hold] = {}
    if not listed:
        return found
    for agent in roster.agents:
        holds = [pause.hold for pause in holding(listed, agent, roster)]
        if holds:
            found[agent] = max(holds, key=_strength)
    return found


def _strength(hold: Hold) -> tuple[bool, int]:
    return hold.reason == states.PAUSED, hold.told_until_at
