"""The stored roster in memory: names to nodes, groups to members, and whom a `to` means.

Replaced as a whole after each roster commit; reading it never waits.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from agent_bus.core import errors
from agent_bus.core.model import OPERATOR, Agent, AgentName, NodeName, Roster

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Directory:
    """Answers who exists, where, and in which groups."""

    def __init__(self) -> None:
        self.roster = Roster(agents={})
        self._agents: dict[AgentName, Agent] = {}
        self._by_node: dict[NodeName, tuple[AgentName, ...]] = {}

    def replace(self, roster: Roster, agents: Iterable[Agent]) -> None:
        """Take the roster as it is stored now."""
        self.roster = roster
        self._agents = {agent.name: agent for agent in agents}
        by_node: dict[NodeName, list[AgentName]] = {node: [] for node in roster.tokens}
        for name, node in roster.agents.items():
            by_node.setdefault(node, []).append(name)
        self._by_node = {node: tuple(sorted(names)) for node, names in by_node.items()}

    @property
    def agents(self) -> dict[AgentName, Agent]:
        """All agents ever registered, by name, with retired ones and the operator."""
        return self._agents

    @property
    def nodes(self) -> dict[NodeName, tuple[AgentName, ...]]:
        """Each node's active agents; an empty tuple for a node without agents."""
        return self._by_node

    def agents_of(self, node: NodeName | None) -> tuple[AgentName, ...]:
        """The active agents of a node; for None, the admin token's place, the operator."""
        return (OPERATOR,) if node is None else self._by_node.get(node, ())

    def is_guest(self, node: NodeName | None) -> bool:
        """Whether a node is a guest, which has no watcher."""
        return node in self.roster.guests

    def node_of(self, agent: AgentName) -> NodeName | None:
        """Where an active agent lives; None for the operator and for retired agents."""
        return self.roster.agents.get(agent)

    def owner_of(self, agent: AgentName) -> NodeName | None:
        """The node whose streams carry this agent's mail now; None for the operator.

        Raises:
            LookupError: no stream's: the agent is retired or unknown.
        """
        node = self.node_of(agent)
        if node is None and agent != OPERATOR:
            raise LookupError(agent)
        return node

    def require(self, name: str, *, field: str) -> AgentName:
        """The name of a known agent, active or retired.

        Raises:
            errors.UnknownAgentError: nobody ever had this name.
        """
        agent = AgentName(name)
        if agent not in self._agents:
            raise errors.UnknownAgentError(name, self._closest(name), field=field)
        return agent

    def recipients(
        self, to: str | Sequence[str] | None, *, sender: AgentName
    ) -> tuple[AgentName, ...]:
        """The agents that a `to` means, in order, each once.

        None means everybody but the sender. Groups leave the sender out, too. A sender may name
        itself: such a message is a note.

        Raises:
            errors.UnknownAgentError: one name or group is unknown; nothing is sent to the others.
            errors.AgentRetiredError: one named agent is no longer in the inventory.
            errors.NoRecipientError: nobody remains.
        """
        if isinstance(to, str) and to in self.roster.agents:
            return (AgentName(to),)  # what nearly every message says
        if to is None:
            found = [name for name in sorted(self.roster.agents) if name != sender]
        else:
            found = []
            for name in [to] if isinstance(to, str) else to:
                found.extend(self._resolve(name, sender))
        if not found:
            raise errors.NoRecipientError
        return tuple(dict.fromkeys(found))

    def _resolve(self, name: str, sender: AgentName) -> list[AgentName]:
        if name.startswith("@"):
            members = self.roster.groups.get(name[1:])
            if members is None:
                raise errors.UnknownAgentError(name, self._closest(name), field="to")
            active = self.roster.agents
            return [m for m in members if m != sender and m in active]
        agent = self.require(name, field="to")
        if agent != OPERATOR and agent not in self.roster.agents:
            raise errors.AgentRetiredError(name)
        return [agent]

    def _closest(self, name: str) -> list[str]:
        known = [*self.roster.agents, OPERATOR, *(f"@{group}" for group in self.roster.groups)]
        return difflib.get_close_matches(name, known, n=3)
