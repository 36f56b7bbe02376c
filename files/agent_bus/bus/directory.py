"""The stored roster in memory: names to nodes, groups to members, and whom a `to` means.

Replaced as a whole after each roster commit; reading it never waits.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from agent_bus.core import errors
from agent_bus.core.guards import rights
from agent_bus.core.guards.rights import Rights
from agent_bus.core.model import OPERATOR, Agent, AgentName, NodeName, Roster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Directory:
    """Answers who exists, where, and in which groups."""

    def __init__(self) -> None:
        self.roster = Roster(agents={})
        self.rights = Rights()
        self.on_replaced: list[Callable[[], object]] = []
        """Called in the loop after each change; must not block."""
        self._agents: dict[AgentName, Agent] = {}
        self._by_node: dict[NodeName, tuple[AgentName, ...]] = {}
        self._spoken_for: dict[NodeName, tuple[AgentName, ...]] = {}
        self.private: frozenset[AgentName] = frozenset()
        """Agents that only a token of their own speaks for."""

    def replace(self, roster: Roster, agents: Iterable[Agent]) -> None:
        """Take the roster as it is stored now."""
        self.roster = roster
        self.rights = rights.compiled(roster)
        self._agents = {agent.name: agent for agent in agents}
        by_node: dict[NodeName, list[AgentName]] = {node: [] for node in roster.tokens}
        for name, node in roster.agents.items():
            by_node.setdefault(node, []).append(name)
        self._by_node = {node: tuple(sorted(names)) for node, names in by_node.items()}
        self.private = frozenset(roster.agent_tokens) - roster.node_too
        self._spoken_for = {
            node: tuple(name for name in names if name not in self.private)
            for node, names in self._by_node.items()
        }
        for tell in self.on_replaced:
            tell()

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

    def spoken_for_by(self, node: NodeName | None) -> tuple[AgentName, ...]:
        """Those of a node's active agents that its token speaks for; for None, the operator."""
        return (OPERATOR,) if node is None else self._spoken_for.get(node, ())

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
        """As `addressed`, without who was left out."""
        return self.addressed(to, sender=sender)[0]

    def require_rights(self, target: str, *, sender: AgentName) -> None:
        """Refuse unless a sender may write to all that an agent or a group is.

        Raises:
            errors.BusError: as for `addressed`.
        """
        _, skipped = self.addressed(target, sender=sender)
        if skipped:
            raise self._not_allowed(sender, skipped)

    def addressed(
        self, to: str | Sequence[str] | None, *, sender: AgentName
    ) -> tuple[tuple[AgentName, ...], tuple[AgentName, ...]]:
        """(the agents that a `to` means, who was left out), both in order, each once.

        None means everybody but the sender. Groups leave the sender out, too. A sender may name
        itself: such a message is a note. Left out are those of a group, or of everybody, to whom
        the sender may not write.

        Raises:
            errors.UnknownAgentError: one name or group is unknown; nothing is sent to the others.
            errors.AgentRetiredError: one named agent is no longer in the inventory.
            errors.NotAllowedError: the sender may not write to one named agent, or to anybody.
            errors.NoRecipientError: nobody remains.
        """
        reach = self.rights.reach.get(sender, self.roster.agents)
        if isinstance(to, str) and to in reach:
            return (AgentName(to),), ()  # what nearly every message says
        is_limited = sender in self.rights.reach
        found: list[AgentName] = []
        skipped: list[AgentName] = []
        refused: list[AgentName] = []
        for name in [to] if to is None or isinstance(to, str) else to:
            meant = self._resolve(name, sender)
            if not is_limited:
                found.extend(meant)
                continue
            is_named = name is not None and not name.startswith("@")
            for agent in meant:
                is_allowed = self.rights.may(sender, agent)
                (found if is_allowed else refused if is_named else skipped).append(agent)
        if refused or (skipped and not found):
            raise self._not_allowed(sender, refused or skipped)
        if not found:
            raise errors.NoRecipientError
        return tuple(dict.fromkeys(found)), tuple(dict.fromkeys(skipped))

    def _resolve(self, name: str | None, sender: AgentName) -> list[AgentName]:
        active = self.roster.agents
        if name is None:
            return [agent for agent in sorted(active) if agent != sender]
        if name.startswith("@"):
            members = self.roster.groups.get(name[1:])
            if members is None:
                raise errors.UnknownAgentError(name, self._closest(name), field="to")
            return [m for m in members if m != sender and m in active]
        agent = self.require(name, field="to")
        if agent != OPERATOR and agent not in active:
            raise errors.AgentRetiredError(name)
        return [agent]

    def _not_allowed(
        self, sender: AgentName, recipients: Sequence[AgentName]
    ) -> errors.NotAllowedError:
        return errors.NotAllowedError(
            sender,
            list(dict.fromkeys(recipients)),
            [rule.label for rule in self.rights.deciding[sender]],
            answered=[one for one in dict.fromkeys(recipients) if self.rights.may(one, sender)],
        )

    def _closest(self, name: str) -> list[str]:
        known = [*self.roster.agents, OPERATOR, *(f"@{group}" for group in self.roster.groups)]
        return difflib.get_close_matches(name, known, n=3)
