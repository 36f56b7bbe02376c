"""Make the roster for the hub: agents, nodes, groups, digests of tokens, and rules."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence


def roster(
    nodes: Sequence[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    *,
    tokens: Mapping[str, str],
    groups: Mapping[str, Sequence[str]],
    leaving: Sequence[str],
    force: bool,
    guests: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    rights: Sequence[Mapping[str, Any]] = (),
    budgets: Mapping[str, Any] | None = None,
    escalation: Mapping[str, Any] | None = None,
    own: Collection[str] = (),
    own_tokens: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the body of PUT /api/agents.

    Args:
        nodes: the hosts with agents.
        hostvars: Ansible's own.
        tokens: the texts of `<node>.token`, and of `<node>.token.old` while tokens are rotated;
            those of guests, too.
        groups: members of each group of agents.
        leaving: nodes that are removed; their agents leave the groups, too.
        force: whether the hub may retire many agents at once.
        guests: the agents of nodes that have no watcher (filter_plugins/guests.py). Without any,
            the body is one that the release before takes, too.
        rights: rules about who may write to whom; without any, as for guests.
        budgets: how many wakes there may be; without any, as for guests.
        escalation: ladders of urgent mail; without any, as for guests.
        own: agents that are to have a token of their own; without any, as for guests.
        own_tokens: the texts of `<agent>.token`, and of `<agent>.token.old` as above. There is a
            `<agent>.token.node` while the node's token counts, too.
    """
    invited = guests or {}
    agents = [
        {"name": agent["name"] if isinstance(agent, dict) else agent, "node": node}
        for node in nodes
        for agent in hostvars[node]["agents"]
    ]
    agents += [
        {"name": name, "node": guest} for guest in invited for name in invited[guest]["agents"]
    ]
    names = {agent["name"] for agent in agents}
    members = {
        group: [name for name in listed if name in names or not leaving]
        for group, listed in groups.items()
    }
    listed = [agent["name"] for agent in agents if agent["node"] not in invited]
    digests = [{"node": node, "sha256": _digests(node, tokens)} for node in (*nodes, *invited)]
    body = {"agents": agents, "groups": members, "tokens": digests, "force": force}
    meant = {*names, *(f"@{group}" for group in groups)}
    known = {*names, *groups} if leaving else None
    more = {
        "guests": list(invited),
        "rights": list(_rules(rights, meant, is_leaving=bool(leaving))),
        "budgets": _budgets(budgets or {}, known),
        "escalation": _ladders(escalation or {}, names, groups, is_leaving=bool(leaving)),
        "agent_tokens": list(_with_own(listed, own=own, texts=own_tokens)),
    }
    return {**body, **{name: given for name, given in more.items() if given}}


def _rules(
    rights: Sequence[Mapping[str, Any]], known: set[str], *, is_leaving: bool
) -> Iterator[dict[str, Any]]:
    """Give the rules with lists on both sides.

    While nodes are removed, their agents leave the rules, too; a rule about nobody else goes.
    """
    always = {"all", "operator"}
    for rule in rights:
        sides = {}
        for side in ("from", "to"):
            said = rule[side]
            listed = [said] if isinstance(said, str) else list(said)
            sides[side] = [n for n in listed if n in known | always or not is_leaving]
        if sides["from"]:
            yield {**({"name": rule["name"]} if rule.get("name") else {}), **sides}


def _budgets(budgets: Mapping[str, Any], known: set[str] | None) -> dict[str, Any]:
    """Give the budgets as the hub takes them; `fleet: false` is none for the fleet.

    While nodes are removed, only those of `known` agents and groups stay.
    """
    found = {}
    for kind, given in budgets.items():
        if kind == "fleet":
            found[kind] = given or None
        else:
            found[kind] = {
                name: one for name, one in (given or {}).items() if known is None or name in known
            }
    return found


def _ladders(
    escalation: Mapping[str, Any],
    names: set[str],
    groups: Mapping[str, Sequence[str]],
    *,
    is_leaving: bool,
) -> dict[str, Any]:
    """Give the ladders; while nodes are removed, their agents leave them, too."""
    known = {*names, *(f"@{group}" for group in groups), "operator"}

    def kept(ladder: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [dict(step) for step in ladder if step["to"] in known or not is_leaving]

    def of_each(ladders: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        there = {n: of for n, of in ladders.items() if f"{prefix}{n}" in known or not is_leaving}
        return {name: kept(ladder) for name, ladder in there.items()}

    found: dict[str, Any] = {
        "default": kept(escalation.get("default") or ()),
        "groups": of_each(escalation.get("groups") or {}, "@"),
        "agents": of_each(escalation.get("agents") or {}),
    }
    return {name: said for name, said in found.items() if said}


def _with_own(
    names: Sequence[str], *, own: Collection[str], texts: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Give the digests of each agent that has a token of its own.

    An agent that is not to have one any more keeps it until its node has passed.
    """
    for name in names:
        if texts.get(f"{name}.token"):
            is_node_too = f"{name}.token.node" in texts or name not in own
            both = {"node_too": True} if is_node_too else {}
            yield {"agent": name, "sha256": _digests(name, texts), **both}


def _digests(node: str, tokens: Mapping[str, str]) -> list[str]:
    """Return the digests of a node's or an agent's tokens, the new one first.

    Of no text before there is one.
    """
    texts = [tokens.get(f"{node}.token", ""), tokens.get(f"{node}.token.old", "")]
    counting = dict.fromkeys(text for number, text in enumerate(texts) if text or number == 0)
    return [hashlib.sha256(text.encode()).hexdigest() for text in counting]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"roster": roster}
