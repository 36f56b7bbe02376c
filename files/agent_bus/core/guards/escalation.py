"""The ladder of an urgent message: who else is told that it stays unread, and after how long.

Its steps are those of the inventory for its recipient, and one that the sender may name in the
message's data: `{"escalate": {"to": "beta", "after_min": 10}}`. A ladder that has a step ends with
the operator.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import errors
from agent_bus.core.model import NAME_PATTERN, OPERATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_bus.core.model import AgentName, Roster

NAME: Final = "escalation"
"""Of the set of rules among a roster's policies."""
KEY: Final = "escalate"
"""In the data of a message."""
AFTER_MIN: Final = 10
"""Minutes of a sender's step that says none: the watcher has woken the agent several times."""
LONGEST_MIN: Final = 10_080
"""A week. Who waits longer for urgent mail has another problem."""
MINUTE_MS: Final = 60_000
URGENT_RANK: Final = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One step: after so long (ms), tell an agent, an `@group`, or the operator."""

    after_ms: int
    target: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The ladders of the inventory: of agents, of groups, and of all others."""

    default: tuple[Step, ...] = ()
    groups: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    agents: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)


def rules_of(roster: Roster) -> Rules:
    """The ladders that a roster came with."""
    text = roster.policies.get(NAME)
    if text is None:
        return Rules()
    found = json.loads(text)
    return Rules(
        default=_steps(found.get("default", ())),
        groups={name: _steps(of) for name, of in found.get("groups", {}).items()},
        agents={name: _steps(of) for name, of in found.get("agents", {}).items()},
    )


def own_step(data: Mapping[str, Any], *, rank: int) -> Step | None:
    """The step that a message's sender has named; None: none.

    Raises:
        errors.InvalidRequestError: it makes no sense.
    """
    said = data.get(KEY)
    if not isinstance(said, dict) or "to" not in said:
        return None
    place = f"data.{KEY}"
    unknown = sorted(said.keys() - {"to", "after_min"})
    if unknown:
        raise errors.InvalidRequestError(
            f"{place}: {unknown[0]!r} is unknown; it has `to` and `after_min`.", field=place
        )
    target, after = said["to"], said.get("after_min", AFTER_MIN)
    if not isinstance(target, str) or not NAME_PATTERN.fullmatch(target.removeprefix("@")):
        raise errors.InvalidRequestError(
            f"{place}.to: name one agent or one @group.", field=f"{place}.to"
        )
    if not isinstance(after, int) or isinstance(after, bool) or not 1 <= after <= LONGEST_MIN:
        raise errors.InvalidRequestError(
            f"{place}.after_min: a whole number of minutes from 1 to {LONGEST_MIN}.",
            field=f"{place}.after_min",
        )
    if rank != URGENT_RANK:
        raise errors.InvalidRequestError(
            f"{place}: only urgent mail climbs; send it with priority urgent.", field="priority"
        )
    return Step(after * MINUTE_MS, target)


def named_by_sender(data_json: str | None) -> Step | None:
    """The step that the sender of a stored urgent message has named; None for nonsense, too."""
    if data_json is None:
        return None
    try:
        return own_step(json.loads(data_json), rank=URGENT_RANK)
    except errors.InvalidRequestError:  # stored by a release that knew nothing of it
        return None


def ladder(
    agent: AgentName, rules: Rules, groups: Iterable[str], *, own: Step | None = None
) -> tuple[Step, ...]:
    """The steps for an agent's mail, the soonest first, each target once.

    The most exact rules count: those of the agent, else those of all its groups, else the default.
    A ladder that does not name the operator ends with the operator, as long after its last step as
    that is after the message. The operator's own mail has no default ladder, and no such end.

    Args:
        agent: whose mail it is.
        rules: those of the inventory.
        groups: those that the agent is in.
        own: the step that the sender has named.
    """
    found = list(rules.agents.get(agent, ()))
    if not found and agent not in rules.agents:
        found = [step for group in groups for step in rules.groups.get(group, ())]
    if not found and agent not in rules.agents and agent != OPERATOR:
        found = list(rules.default)
    if own is not None:
        found.append(own)
    soonest: dict[str, Step] = {}
    for step in sorted(found, key=lambda one: one.after_ms):
        if step.target != agent:
            soonest.setdefault(step.target, step)
    steps = list(soonest.values())
    if steps and agent != OPERATOR and OPERATOR not in soonest:
        steps.append(Step(2 * steps[-1].after_ms, OPERATOR))
    return tuple(steps)


def _steps(said: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    return tuple(Step(int(one["after_min"]) * MINUTE_MS, str(one["to"])) for one in said)
