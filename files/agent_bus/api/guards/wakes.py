"""`/api/pauses` and `GET /api/wakes`: who is not woken and why, and what wakes there were."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from agent_bus.core import errors, states
from agent_bus.core.guards import pauses as rules
from agent_bus.core.guards import wakes
from agent_bus.core.model import OPERATOR, rfc3339
from agent_bus.http.call import Answer, Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.api.models.wakes import PauseBody, ResumeBody, WakesQuery
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.guards.pauses import Pauses
    from agent_bus.bus.guards.wake_budgets import WakeBudgets
    from agent_bus.bus.guards.wake_gate import WakeGate
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.budgets import Use
    from agent_bus.core.guards.pauses import Pause, Scope
    from agent_bus.core.model import AgentName
    from agent_bus.store.guards.wake_book import WakeBook


class WakeCalls:
    """The endpoints, with what they need; those of pauses also for the dashboard."""

    def __init__(
        self,
        *,
        pauses: Pauses,
        budgets: WakeBudgets,
        gate: WakeGate,
        directory: Directory,
        book: WakeBook,
        clock: Clock,
    ) -> None:
        self._pauses = pauses
        self._budgets = budgets
        self._gate = gate
        self._directory = directory
        self._book = book
        self._clock = clock

    def read(self, _call: Call) -> Answer:
        """What is paused, and who is held."""
        entries = [self._entry(pause) for pause in self._pauses.all()]
        return Answer(200, {"pauses": entries, "held": self._held(sorted(self._gate.held))})

    def pause(self, call: Call[None, PauseBody]) -> Answer:
        """Keep an agent, a group or the fleet from being woken."""
        body = call.body
        scope, name = self._meant(body.who)
        pause = self._pauses.put(scope, name, for_s=body.for_s, note=body.note, is_mute=False)
        return Answer(200, self._entry(pause))

    def resume(self, call: Call[None, ResumeBody]) -> Answer:
        """End a pause; what else holds its agents is told."""
        scope, name = self._meant(call.body.who, is_known=False)
        agents = self._agents(scope, name)
        ended = self._pauses.end(scope, name)
        content = {"who": call.body.who, "ended": ended, "held": self._held(agents)}
        return Answer(200, content)

    def wakes(self, call: Call[WakesQuery]) -> Answer:
        """Budgets, wakes by agent and day, and who caused them."""
        self._budgets.flush()
        since = wakes.first_day(self._clock.now_ms(), call.query.days)
        counts = self._book.counts(since=since)
        content = {
            "budgets": [budget(use) for use in self._budgets.uses()],
            "days": [_day(one) for one in wakes.by_day(counts)],
            "causes": [
                {"sender": sender, "agent": agent, "wakes": count}
                for sender, agent, count in wakes.by_sender(counts)
            ],
        }
        return Answer(200, content)

    def _meant(self, who: str, *, is_known: bool = True) -> tuple[Scope, str]:
        """Whom a name means; a group that is gone may still have a pause to end."""
        scope, name = rules.scope_of(who)
        if scope == rules.AGENT:
            agent = self._directory.require(name, field="who")
            if agent == OPERATOR:
                raise errors.InvalidRequestError(
                    "The operator is never woken. Name an agent, `@group`, or `all`.", field="who"
                )
        groups = self._directory.roster.groups
        if scope == rules.GROUP and is_known and name not in groups:
            closest = difflib.get_close_matches(who, [f"@{one}" for one in groups], n=3)
            raise errors.UnknownAgentError(who, closest, field="who")
        return scope, name

    def _agents(self, scope: Scope, name: str) -> list[AgentName]:
        anybody = rules.Pause(scope, name, states.PAUSED, 0)
        return sorted(rules.held([anybody], self._directory.roster))

    def _held(self, agents: Sequence[AgentName]) -> list[dict[str, Any]]:
        return [
            {"agent": agent, "reason": hold.reason, "until": rfc3339(hold.until_at)}
            for agent in agents
            if (hold := self._gate.hold_of(agent)) is not None
        ]

    def _entry(self, pause: Pause) -> dict[str, Any]:
        return {
            "who": pause.who,
            "reason": pause.reason,
            "since": rfc3339(pause.since_at),
            "until": rfc3339(pause.until_at),
            "note": pause.note,
            "agents": self._agents(pause.scope, pause.name),
        }


def budget(use: Use) -> dict[str, Any]:
    """A budget and what is used of it."""
    return {
        "who": use.who,
        "per_hour": use.budget.per_hour,
        "per_day": use.budget.per_day,
        "urgent_reserve": use.budget.urgent_reserve,
        "hour": use.hour,
        "day": use.day,
        "urgent": use.urgent,
    }


def _day(one: wakes.Day) -> dict[str, Any]:
    return {
        "day": str(rfc3339(one.day_at))[:10],
        "agent": one.agent,
        "wakes": one.total,
        "escalations": one.kinds.get(states.ESCALATION, 0),
        "reminders": one.kinds.get(states.REMINDER, 0),
        "urgent": one.kinds.get(states.URGENT, 0),
    }
