"""Who may write to whom: the rules of the inventory, and what follows from them for each agent.

A sender that no rule names may write to all. One that rules name may write to those to whom any of
them lets it, to itself and to the operator. Compiled once for each roster, so a send looks once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agent_bus.core.model import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent_bus.core.model import AgentName, Roster

NAME: Final = "rights"
"""Of the set of rules among a roster's policies."""
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as it came: names, `@group`s or `all` on both sides.

    Attributes:
        number: its place among the rules, from 1.
        senders: whom it names.
        to: to whom it lets them write.
        name: the operator's word for it.
    """

    number: int
    senders: tuple[str, ...]
    to: tuple[str, ...]
    name: str | None = None

    @property
    def label(self) -> str:
        """Its number, and its name if it has one."""
        return f"rule {self.number}" + (f" ({self.name})" if self.name else "")


@dataclass(frozen=True, slots=True)
class Rights:
    """What the rules make of one roster.

    Attributes:
        rules: all, in their order.
        reach: for each agent that may not write to all: the agents that rules let it write to.
        deciding: for each agent that rules name: those rules.
    """

    rules: tuple[Rule, ...] = ()
    reach: Mapping[AgentName, frozenset[AgentName]] = field(default_factory=dict)
    deciding: Mapping[AgentName, tuple[Rule, ...]] = field(default_factory=dict)

    def may(self, sender: AgentName, recipient: AgentName) -> bool:
        """Whether one agent may write to another one, to itself or to the operator."""
        reach = self.reach.get(sender)
        return reach is None or recipient in reach or recipient in {sender, OPERATOR}

    def visible(self, senders: Iterable[AgentName]) -> frozenset[AgentName] | None:
        """The agents that any of some agents may write to, with themselves; None: all."""
        found: set[AgentName] = set()
        for sender in senders:
            reach = self.reach.get(sender)
            if reach is None:
                return None
            found |= reach
            found.add(sender)
        return frozenset(found)


def compiled(roster: Roster) -> Rights:
    """The rights of a roster's agents, by its rules and groups."""
    text = roster.policies.get(NAME)
    if text is None:
        return Rights()
    rules = tuple(
        Rule(number, tuple(rule["from"]), tuple(rule["to"]), rule.get("name"))
        for number, rule in enumerate(json.loads(text), start=1)
    )
    active = frozenset(roster.agents)

    def meant(names: Sequence[str]) -> frozenset[AgentName]:
        """The agents that some names mean; the operator is none of them."""
        if ALL in names:
            return active
        found: set[str] = set()
        for name in names:
            found.update(roster.groups.get(name[1:], ()) if name.startswith("@") else (name,))
        return active & found

    about_all = [rule for rule in rules if ALL in rule.senders]
    naming = dict.fromkeys(active, about_all) if about_all else {}
    for rule in rules:
        for sender in () if ALL in rule.senders else meant(rule.senders):
            naming[sender] = [*naming.get(sender, ()), rule]
    # Agents that the same rules name share what follows from them.
    shared: dict[tuple[int, ...], tuple[tuple[Rule, ...], frozenset[AgentName] | None]] = {}
    reach: dict[AgentName, frozenset[AgentName]] = {}
    deciding: dict[AgentName, tuple[Rule, ...]] = {}
    for sender, of in naming.items():
        key = tuple(sorted(rule.number for rule in of))
        if key not in shared:
            named = tuple(rules[number - 1] for number in key)
            is_free = any(ALL in rule.to for rule in named)
            to = None if is_free else frozenset().union(*(meant(rule.to) for rule in named))
            shared[key] = named, to
        deciding[sender], to = shared[key]
        if to is not None:
            reach[sender] = to
    return Rights(rules, reach, deciding)


def strangers(names: Iterable[str], agents: Iterable[str], groups: Iterable[str]) -> list[str]:
    """Which names of a rule are nobody's, in their order."""
    known = {ALL, *agents, *(f"@{group}" for group in groups)}
    return [name for name in names if name not in known]
