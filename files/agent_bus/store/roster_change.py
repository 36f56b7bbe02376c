"""What a new roster changes, and whether it may; pure, so that every store decides the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from agent_bus.core import errors
from agent_bus.core.model import Roster, RosterChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent_bus.core.model import Agent, AgentName, NodeName

K = TypeVar("K", bound=str)
V = TypeVar("V")

RETIRE_FREELY: Final = 2
"""How many agents a roster may retire without `force`."""
RETIRE_SHARE: Final = 0.2
"""Past RETIRE_FREELY, retiring more than this share of the fleet needs `force`: half an inventory
by mistake must not silence half a fleet."""


def assembled(
    agents: list[Agent],
    members: Iterable[tuple[str, AgentName]],
    tokens: Iterable[tuple[NodeName, str]],
    guests: Iterable[tuple[NodeName]],
    *,
    policies: Iterable[tuple[str, str]],
    agent_tokens: Iterable[tuple[AgentName, str, int]],
) -> Roster:
    """The roster of active agents, from its rows.

    They are all agents, (group, member), (node, SHA-256), (node of guests,), (policy, rules) and
    (agent, SHA-256, whether its node's token counts, too).
    """
    own = list(agent_tokens)
    return Roster(
        agents={a.name: a.node for a in agents if a.node is not None and a.retired_at is None},
        groups=_grouped(members),
        tokens=_grouped(tokens),
        guests=frozenset(node for (node,) in guests),
        policies=dict(policies),
        agent_tokens=_grouped((agent, sha256) for agent, sha256, _ in own),
        node_too=frozenset(agent for agent, _, is_node_too in own if is_node_too),
    )


def between(old: Roster, known: list[Agent], new: Roster, *, force: bool) -> RosterChange:
    """What replacing `old` by `new` changes.

    Raises:
        errors.RosterShrinksError: it would retire many agents, no `force`.
    """
    change = _compare(old, known, new)
    many = len(change.retired) > RETIRE_FREELY
    if many and len(change.retired) > RETIRE_SHARE * len(old.agents) and not force:
        raise errors.RosterShrinksError(list(change.retired))
    return change


def _compare(old: Roster, known: list[Agent], new: Roster) -> RosterChange:
    retired_before = {a.name for a in known if a.retired_at is not None}
    added = [name for name in new.agents if name not in old.agents]
    return RosterChange(
        registered=tuple(sorted(name for name in added if name not in retired_before)),
        revived=tuple(sorted(name for name in added if name in retired_before)),
        moved=tuple(
            sorted(n for n, node in new.agents.items() if old.agents.get(n, node) != node)
        ),
        retired=tuple(sorted(name for name in old.agents if name not in new.agents)),
        groups_changed=_as_sets(new.groups) != _as_sets(old.groups),
        tokens_changed=_changed(old.tokens, new.tokens),
        guests_changed=tuple(sorted(old.guests ^ new.guests)),
        policies_changed=tuple(
            sorted(
                name
                for name in old.policies.keys() | new.policies.keys()
                if old.policies.get(name) != new.policies.get(name)
            )
        ),
        agent_tokens_changed=tuple(
            sorted({*_changed(old.agent_tokens, new.agent_tokens), *(old.node_too ^ new.node_too)})
        ),
    )


def _changed(old: Mapping[K, tuple[str, ...]], new: Mapping[K, tuple[str, ...]]) -> tuple[K, ...]:
    """Whose tokens differ, in order."""
    differing = (
        name for name in old.keys() | new.keys() if _digests(old, name) != _digests(new, name)
    )
    return tuple(sorted(differing))


def _digests(of: Mapping[K, tuple[str, ...]], name: K) -> set[str]:
    return set(of.get(name, ()))


def _as_sets(groups: dict[str, tuple[AgentName, ...]]) -> dict[str, frozenset[AgentName]]:
    return {name: frozenset(members) for name, members in groups.items()}


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, tuple[V, ...]]:
    found: dict[K, list[V]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}
