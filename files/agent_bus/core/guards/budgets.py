"""Wake budgets: how many wakes an agent, a group and the fleet may have, and who is over that.

Pure: times are passed in, in seconds of one monotonic clock.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_bus.core.guards.pauses import AGENT, FLEET, GROUP, Scope, named
from agent_bus.core.guards.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_bus.core.model import AgentName, Roster

POLICY: Final = "budgets"
"""The set of rules in the roster."""
HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Budget:
    """How many wakes there may be in any 60 minutes and in any 24 hours; None: any number.

    `urgent_reserve` is how many more urgent mail may cause in any 24 hours.
    """

    per_hour: int | None = None
    per_day: int | None = None
    urgent_reserve: int = 0


@dataclass(frozen=True, slots=True)
class Budgets:
    """All budgets of the inventory."""

    fleet: Budget | None = None
    groups: Mapping[str, Budget] = field(default_factory=dict)
    agents: Mapping[str, Budget] = field(default_factory=dict)


FLEET_OF: Final = 19
"""Agents of the reference fleet, which the default is derived from."""
AGENT_PER_HOUR: Final = 30
"""A turn every two minutes of every agent at once: nothing that a fleet does for a whole hour."""
AGENT_PER_DAY: Final = 200
"""Every agent is busy for seven hours with that."""
AGENT_RESERVE: Final = 10


def default(count: int) -> Budget:
    """The fleet's budget where the inventory says nothing of it.

    Ordinary work cannot reach it: see docs/explanation/budgets.md. A loop reaches it within hours.
    """
    of = max(count, FLEET_OF + 1)
    return Budget(AGENT_PER_HOUR * of, AGENT_PER_DAY * of, AGENT_RESERVE * of)


def parsed(text: str | None, *, count: int) -> Budgets:
    """The budgets of a roster's set of rules, for so many agents that are woken.

    Without a word about the fleet there is the default; a null there means no budget.
    """
    rules: dict[str, Any] = json.loads(text) if text else {}
    fleet = rules.get("fleet")
    whole = None if fleet is None else Budget(**fleet)
    return Budgets(
        whole if "fleet" in rules else default(count),
        {name: Budget(**one) for name, one in (rules.get("groups") or {}).items()},
        {name: Budget(**one) for name, one in (rules.get("agents") or {}).items()},
    )


class Use(NamedTuple):
    """How much of a budget is used: one row of what an operator is shown."""

    scope: Scope
    name: str
    budget: Budget
    hour: int
    day: int
    urgent: int

    @property
    def who(self) -> str:
        """As people write it: `alpha`, `@research`, `all`."""
        return named(self.scope, self.name)


class Meter:
    """One budget with what was used of it."""

    def __init__(self, scope: Scope, name: str, budget: Budget) -> None:
        self.scope: Scope = scope
        self.name = name
        self.budget = budget
        self._hour, self._day, self._urgent = Window(HOUR_S), Window(DAY_S), Window(DAY_S)

    def add(self, at: float, count: int = 1, *, is_urgent: bool) -> None:
        """Count wakes; those of the reserve use nothing else."""
        if is_urgent:
            self._urgent.add(at, count)
        else:
            self._hour.add(at, count)
            self._day.add(at, count)

    def frees_at(self, now: float, *, besides: int = 0) -> float | None:
        """When the next wake may pass; None: now.

        `besides` are wakes that may come any moment, because somebody was let through.
        """
        found = [
            window.frees_at(now, limit - besides)
            for window, limit in (
                (self._hour, self.budget.per_hour),
                (self._day, self.budget.per_day),
            )
            if limit is not None
        ]
        return max((at for at in found if at is not None), default=None)

    def is_spent(self, now: float) -> bool:
        """Whether no wake may pass now."""
        hour, day = self.budget.per_hour, self.budget.per_day
        return (hour is not None and self._hour.used(now) >= hour) or (
            day is not None and self._day.used(now) >= day
        )

    def has_reserve(self, now: float, *, besides: int = 0) -> bool:
        """Whether urgent mail may still pass."""
        return self._urgent.used(now) + besides < self.budget.urgent_reserve

    def reserve_frees_at(self, now: float) -> float | None:
        """When urgent mail may pass again; None: now."""
        return self._urgent.frees_at(now, self.budget.urgent_reserve)

    def use(self, now: float) -> Use:
        """How much is used now."""
        hour, day, urgent = (w.used(now) for w in (self._hour, self._day, self._urgent))
        return Use(self.scope, self.name, self.budget, hour, day, urgent)


class Look:
    """What budgets allow at one moment; asks each meter once, however many agents it has."""

    def __init__(self, meters: Mapping[AgentName, Sequence[Meter]], now: float) -> None:
        self._of = meters
        self._now = now
        self._besides: Counter[Meter] = Counter()
        self._found: dict[tuple[Meter, int], float | None] = {}

    def let_through(self, agent: AgentName) -> None:
        """Count a wake of an agent that may come any moment."""
        self._besides.update(self._of.get(agent, ()))

    def over(self, agent: AgentName) -> float | None:
        """When an agent's next wake is within all its budgets; None: now."""
        return self._latest(self._frees_at(meter, 0) for meter in self._of.get(agent, ()))

    def over_besides(self, agent: AgentName) -> float | None:
        """The same if all who were let through are woken before."""
        meters = self._of.get(agent, ())
        return self._latest(self._frees_at(meter, self._besides[meter]) for meter in meters)

    def may_pass(self, agent: AgentName) -> bool:
        """Whether urgent mail may wake an agent that is over a budget."""
        return all(
            meter.has_reserve(self._now, besides=self._besides[meter])
            for meter in self._of.get(agent, ())
            if self._frees_at(meter, 0) is not None
        )

    def reserve_over(self, agent: AgentName) -> float | None:
        """When the reserves of an agent's spent budgets let urgent mail pass again; None: now."""
        spent = (m for m in self._of.get(agent, ()) if self._frees_at(m, 0) is not None)
        return self._latest(meter.reserve_frees_at(self._now) for meter in spent)

    def _frees_at(self, meter: Meter, besides: int) -> float | None:
        key = meter, besides
        if key not in self._found:
            self._found[key] = meter.frees_at(self._now, besides=besides)
        return self._found[key]

    @staticmethod
    def _latest(found: Iterable[float | None]) -> float | None:
        return max((at for at in found if at is not None), default=None)


class Ledger:
    """Which wakes there were in the last 24 hours, and what they leave of the budgets."""

    def __init__(self) -> None:
        self._wakes: dict[tuple[AgentName, bool], Window] = {}
        self._meters: list[Meter] = []
        self._of: dict[AgentName, list[Meter]] = {}

    def replace(self, roster: Roster, now: float) -> None:
        """Go by this roster and its budgets; wakes stay counted. Guests have no watcher."""
        woken = [agent for agent, node in roster.agents.items() if node not in roster.guests]
        budgets = parsed(roster.policies.get(POLICY), count=len(woken))
        members: list[tuple[Meter, Iterable[AgentName]]] = []
        if budgets.fleet is not None:
            members.append((Meter(FLEET, "", budgets.fleet), woken))
        for group, budget in sorted(budgets.groups.items()):
            members.append((Meter(GROUP, group, budget), roster.groups.get(group, ())))
        members += [
            (Meter(AGENT, agent, budgets.agents[agent]), (agent,))
            for agent in woken
            if agent in budgets.agents
        ]
        self._meters = [meter for meter, _ in members]
        self._of = {agent: [] for agent in woken}
        for meter, agents in members:
            for agent in set(agents) & self._of.keys():
                self._of[agent].append(meter)
        for (agent, is_urgent), window in self._wakes.items():
            for second, count in window.counted(now):
                for meter in self._of.get(agent, ()):
                    meter.add(second, count, is_urgent=is_urgent)

    def note(
        self, agent: AgentName, at: float, count: int = 1, *, is_urgent: bool = False
    ) -> None:
        """Count wakes of an agent."""
        window = self._wakes.setdefault((agent, is_urgent), Window(DAY_S))
        window.add(at, count)
        for meter in self._of.get(agent, ()):
            meter.add(at, count, is_urgent=is_urgent)

    @property
    def agents(self) -> Iterable[AgentName]:
        """Whom a budget may concern."""
        return self._of.keys()

    def is_limited(self, agent: AgentName) -> bool:
        """Whether any budget concerns an agent."""
        return bool(self._of.get(agent))

    @property
    def is_idle(self) -> bool:
        """Whether there is no budget at all."""
        return not self._meters

    def is_over(self, agent: AgentName, now: float) -> bool:
        """Whether any budget of an agent is spent; costs the same in every fleet."""
        return any(meter.is_spent(now) for meter in self._of.get(agent, ()))

    def look(self, now: float, *, passing: Iterable[AgentName] = ()) -> Look:
        """The ledger at one moment.

        `passing` are agents that were let through, and whose wake was not reported yet.
        """
        look = Look(self._of, now)
        for agent in passing:
            look.let_through(agent)
        return look

    def spent(self, now: float) -> tuple[str, ...]:
        """Whose budgets allow no wake now."""
        return tuple(named(one.scope, one.name) for one in self._meters if one.is_spent(now))

    def uses(self, now: float) -> list[Use]:
        """How much of each budget is used, the fleet's first."""
        return [meter.use(now) for meter in self._meters]


def finite(at: float, now: float) -> float:
    """A time that a timer can wait for."""
    return now + DAY_S if math.isinf(at) else at
