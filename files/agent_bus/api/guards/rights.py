"""`GET /api/rights`: who may write to whom, and by which rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_bus.http.call import Answer, Call

if TYPE_CHECKING:
    from agent_bus.api.models.requests import RightsQuery
    from agent_bus.bus.directory import Directory
    from agent_bus.core.model import AgentName


class RightsCalls:
    """The endpoint; the rules are those of the stored roster."""

    def __init__(self, *, directory: Directory) -> None:
        self._directory = directory

    def read(self, call: Call[RightsQuery]) -> Answer:
        """All rules, and what they mean for each agent, or for one."""
        name = call.query.agent
        agents = sorted(self._directory.roster.agents)
        if name is not None:
            agents = [self._directory.require(name, field="agent")]
        rules = [
            {
                "number": rule.number,
                "name": rule.name,
                "from": list(rule.senders),
                "to": list(rule.to),
            }
            for rule in self._directory.rights.rules
        ]
        return Answer(200, {"rules": rules, "agents": [self._entry(one) for one in agents]})

    def _entry(self, agent: AgentName) -> dict[str, Any]:
        rights = self._directory.rights
        reach = rights.reach.get(agent)
        return {
            "agent": agent,
            "to": None if reach is None else sorted(reach - {agent}),
            "rules": [rule.number for rule in rights.deciding.get(agent, ())],
        }
