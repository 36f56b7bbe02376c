"""Check the rules about who may write to whom.

Reads what Ansible knows. A finding has the `way` to its place, and what it `says`. A rule that
is about somebody but can never matter is no mistake.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

VARIABLE = "message_rights"
KEYS = ("from", "to", "name")
ALL, OPERATOR = "all", "operator"
EXAMPLE = '`- {from: chef, to: ["@household", concierge]}`'
LONGEST_NAME = 200
"""Characters of a rule's name, as the hub takes them: one line of a refusal."""
Finding = dict[str, Any]


def rights_findings(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Return what is wrong with the rules of the inventory; nothing without any."""
    hosts = list(dict.fromkeys([*groups.get("hub", []), *groups.get("nodes", [])]))
    variables = hostvars[hosts[0]] if hosts else {}
    rules = variables.get(VARIABLE)
    if rules is None:
        return []
    if not isinstance(rules, list | tuple):
        return [_finding((), f"{VARIABLE} is {rules!r}, not a list of rules: {EXAMPLE}")]
    agents = _agents([hostvars[host] for host in hosts], variables.get("guests"))
    listed = variables.get("message_bus_agent_groups") or variables.get("agent_groups") or {}
    names = [ALL, *agents, *(f"@{group}" for group in listed)]
    return [
        _finding((str(number - 1), *way), f"rule {number} of {VARIABLE} {says}")
        for number, rule in enumerate(rules, start=1)
        for way, says in _rule(rule, names)
    ]


def _rule(rule: object, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give the way to each mistake in a rule, and what it is."""
    if not isinstance(rule, dict):
        yield (), f"is {rule!r}, not a mapping like {EXAMPLE}"
        return
    for key in rule:
        if key not in KEYS:
            nearly = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"did you mean {nearly[0]!r}?" if nearly else f"it has {', '.join(KEYS)}"
            yield (str(key),), f"has an unknown setting {key!r}; {hint}"
    for side in ("from", "to"):
        if side not in rule:
            yield (), f"has no `{side}`: {EXAMPLE}" + (" (`to: []` is nobody)" * (side == "to"))
        else:
            yield from _side(side, rule[side], names)
    name = rule.get("name")
    if name is not None and not (
        isinstance(name, str) and name.isprintable() and len(name) <= LONGEST_NAME
    ):
        yield ("name",), f"has the name {name!r}; write one line of at most {LONGEST_NAME} letters"


def _side(side: str, said: object, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    listed = said if isinstance(said, list | tuple) else [said]
    if not listed and side == "from":
        yield (side,), "is about nobody: put an agent, an @group or `all` into `from`"
    for number, name in enumerate(listed):
        way = (side, str(number)) if listed is said else (side,)
        if name == OPERATOR and side == "from":
            yield way, "has operator in `from`, who may always write to all; leave it out"
        elif name not in names and name != OPERATOR:
            yield (
                way,
                f"has {name!r} in `{side}`, neither an agent nor a group{_meant(name, names)}",
            )


def _meant(name: object, names: Sequence[str]) -> str:
    if f"@{name}" in names:
        return f'; it is a group: write "@{name}"'
    nearly = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    return f"; did you mean {nearly[0]!r}?" if nearly else ""


def _agents(variables: Sequence[Mapping[str, Any]], guests: object) -> list[str]:
    """Return the names of all agents, those of guests among them."""
    invited = [
        said.get("agents") if isinstance(said, dict) else said
        for said in (guests.values() if isinstance(guests, dict) else ())
    ]
    lists = [*(of.get("agents") for of in variables), *invited]
    agents = [agent for listed in lists if isinstance(listed, list | tuple) for agent in listed]
    return [str(agent.get("name") if isinstance(agent, dict) else agent) for agent in agents]


def _finding(way: Sequence[str], says: str) -> Finding:
    return {"way": [VARIABLE, *way], "says": says}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"rights_findings": rights_findings}
