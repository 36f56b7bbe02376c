"""`/api/agents`: who is there, and the roster that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.core.model import AgentName, NodeName, Roster
from agent_bus.http.call import Answer, Call
from agent_bus.operate import fleet_rows

if TYPE_CHECKING:
    from agent_bus.api.models.requests import RosterBody, RosterQuery
    from agent_bus.bus.bus import Bus
    from agent_bus.bus.directory import Directory
    from agent_bus.operate.fleet import Fleet


class Agents:
    """The endpoints, with what they need."""

    def __init__(self, *, bus: Bus, directory: Directory, fleet: Fleet) -> None:
        self._bus = bus
        self._directory = directory
        self._fleet = fleet

    def read(self, _call: Call) -> Answer:
        """All agents, groups and nodes, with who can be reached now."""
        self._fleet.refresh(anyway=True)
        groups = {n: sorted(of) for n, of in self._directory.roster.groups.items()}
        agents = [fleet_rows.agent(facts) for facts in self._fleet.agents()]
        nodes = [fleet_rows.node(facts) for facts in self._fleet.nodes()]
        return Answer(200, {"agents": agents, "groups": groups, "nodes": nodes})

    def replace(self, call: Call[RosterQuery, RosterBody]) -> Answer:
        """Replace the roster."""
        change = self._bus.put_roster(
            _roster(call.body), force=call.body.force, dry_run=call.query.dry_run
        )
        content = {
            "changed": change.changed,
            "registered": change.registered,
            "moved": change.moved,
            "retired": change.retired,
            "revived": change.revived,
            "groups_changed": change.groups_changed,
            "tokens_changed": change.tokens_changed,
            "guests_changed": change.guests_changed,
            "policies_changed": change.policies_changed,
        }
        return Answer(200, content)


def has_changed_roster(call: Call[RosterQuery, RosterBody], answer: Answer) -> bool:
    """Whether a roster was not there already and was put for good, as the audit asks."""
    content = answer.content if isinstance(answer.content, dict) else {}
    return bool(content.get("changed")) and not call.query.dry_run


def _roster(body: RosterBody) -> Roster:
    return Roster(
        agents={AgentName(a.name): NodeName(a.node) for a in body.agents},
        groups={g: tuple(AgentName(m) for m in members) for g, members in body.groups.items()},
        tokens={NodeName(t.node): tuple(t.sha256) for t in body.tokens},
        guests=frozenset(map(NodeName, body.guests)),
    )
