"""`/api/agents`: who is there, and the roster that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.core import errors
from agent_bus.core.guards import budgets, escalation, policy, rights
from agent_bus.core.model import AgentName, NodeName, Roster
from agent_bus.http.call import Answer, Call
from agent_bus.operate import fleet_rows

if TYPE_CHECKING:
    from agent_bus.api.models.requests import AgentsQuery, RosterBody, RosterQuery
    from agent_bus.bus.auth import Authenticator
    from agent_bus.bus.bus import Bus
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.guards.pauses import Pauses
    from agent_bus.operate.fleet import Fleet

ROSTER_CHANGES: Final = (
    "registered",
    "moved",
    "retired",
    "revived",
    "groups_changed",
    "tokens_changed",
    "agent_tokens_changed",
    "policies_changed",
)
"""What the audit keeps of a roster's answer."""


class Agents:
    """The endpoints, with what they need."""

    def __init__(
        self,
        *,
        bus: Bus,
        auth: Authenticator,
        directory: Directory,
        fleet: Fleet,
        pauses: Pauses,
    ) -> None:
        self._pauses = pauses
        self._bus = bus
        self._auth = auth
        self._directory = directory
        self._fleet = fleet

    def read(self, call: Call[AgentsQuery]) -> Answer:
        """All agents, groups and nodes, with who can be reached now.

        Of agents that the caller may not write to nothing is shown but their node, whose watcher
        a rollout asks for with any node's token.
        """
        self._fleet.refresh(anyway=True)
        seen = self._visible(call)
        groups = {n: sorted(of) for n, of in self._directory.roster.groups.items()}
        agents = [fleet_rows.agent(facts) for facts in self._fleet.agents()]
        nodes = [fleet_rows.node(facts) for facts in self._fleet.nodes()]
        if seen is not None:
            shown = {name: [one for one in of if one in seen] for name, of in groups.items()}
            groups = {name: of for name, of in shown.items() if of}
            agents = [row for row in agents if row["name"] in seen]
            for row in nodes:
                for names in ("agents", "unconfigured"):
                    row[names] = [one for one in row[names] if one in seen]
        return Answer(200, {"agents": agents, "groups": groups, "nodes": nodes})

    def _visible(self, call: Call[AgentsQuery]) -> frozenset[AgentName] | None:
        """The agents that are shown to a caller; None: all."""
        rights, name = self._directory.rights, call.query.sender
        if name is None:
            seen = rights.visible(self._auth.speaks_for(call.principal)) if rights.reach else None
            # A node sees those of its agents that have a token of their own: it wakes them.
            return None if seen is None else seen.union(self._auth.watches(call.principal))
        if call.principal.is_admin:
            return rights.visible([self._directory.require(name, field="from")])
        return rights.visible([self._auth.require_agent(call.principal, name, field="from")])

    def replace(self, call: Call[RosterQuery, RosterBody]) -> Answer:
        """Replace the roster."""
        roster = _roster(call.body)
        lost = [] if call.body.force else self._pauses.groups_lost(roster)
        if lost:
            raise errors.InvalidRequestError(
                f"Paused, and gone in this roster: {', '.join(f'@{name}' for name in lost)}. "
                "Their agents would be woken again. Pause them by name, then end the group's "
                f"pause: agent-bus-admin resume @{lost[0]}. If they may be woken, send the same "
                "roster with `force`: true.",
                field="groups",
            )
        change = self._bus.put_roster(roster, force=call.body.force, dry_run=call.query.dry_run)
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
            "agent_tokens_changed": change.agent_tokens_changed,
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
        policies=_policies(body),
        agent_tokens={AgentName(t.agent): tuple(t.sha256) for t in body.agent_tokens},
        node_too=frozenset(AgentName(t.agent) for t in body.agent_tokens if t.node_too),
    )


def _policies(body: RosterBody) -> dict[str, str]:
    """Each set of rules that there is, as the store keeps it."""
    allowed = body.budgets
    sets = {
        rights.NAME: [rule.model_dump(by_alias=True, exclude_none=True) for rule in body.rights],
        escalation.NAME: None if body.escalation is None else body.escalation.rules(),
        budgets.POLICY: allowed and allowed.model_dump(exclude_unset=True),
    }
    return {name: policy.canonical(rules) for name, rules in sets.items() if rules}
