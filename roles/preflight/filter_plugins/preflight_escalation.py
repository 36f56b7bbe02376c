"""Check the ladders of urgent mail: who else is told that it stays unread.

Reads what Ansible knows. A finding has the `way` to its place, and what it `says`.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

VARIABLE = "message_escalation"
OPERATOR = "operator"
KINDS = ("default", "groups", "agents")
KEYS = ("after_min", "to")
LONGEST_MIN = 10_080
"""A week, as the hub takes it."""
EXAMPLE = '`- {after_min: 10, to: "@oncall"}`'
Finding = dict[str, Any]
Wrong = tuple[tuple[str, ...], str]


def escalation_findings(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Return what is wrong with the ladders of the inventory; nothing without any."""
    hosts = list(dict.fromkeys([*groups.get("hub", []), *groups.get("nodes", [])]))
    variables = hostvars[hosts[0]] if hosts else {}
    said = variables.get(VARIABLE)
    if said is None:
        return []
    agents = _agents([hostvars[host] for host in hosts], variables.get("guests"))
    listed = variables.get("message_bus_agent_groups") or variables.get("agent_groups") or {}
    return [
        _finding(way, f"{'.'.join((VARIABLE, *way))} {says}")
        for way, says in _all(said, agents, list(listed))
    ]


def _all(said: object, agents: Sequence[str], groups: Sequence[str]) -> Iterator[Wrong]:
    """Give the way to each mistake, and what it is."""
    if not isinstance(said, dict):
        yield (), f"is {said!r}, not a mapping with {', '.join(KINDS)}"
        return
    targets = [*agents, *(f"@{group}" for group in groups), OPERATOR]
    known: dict[str, Sequence[str]] = {"groups": groups, "agents": [*agents, OPERATOR]}
    for kind, ladders in said.items():
        if kind not in KINDS:
            yield (str(kind),), f"is no setting{_meant(kind, KINDS)}; there are {', '.join(KINDS)}"
        elif kind == "default":
            yield from _ladder((kind,), ladders, targets)
        elif not isinstance(ladders, dict):
            yield (kind,), f"is {ladders!r}, not a mapping from names to ladders"
        else:
            for name, ladder in ladders.items():
                if name not in known[kind]:
                    yield (kind, str(name)), f"names no {kind[:-1]}{_meant(name, known[kind])}"
                yield from _ladder((kind, str(name)), ladder, targets)


def _ladder(way: tuple[str, ...], ladder: object, targets: Sequence[str]) -> Iterator[Wrong]:
    if not isinstance(ladder, list | tuple):
        yield way, f"is {ladder!r}, not a list of steps like {EXAMPLE}"
        return
    for number, step in enumerate(ladder):
        here = (*way, str(number))
        if not isinstance(step, dict):
            yield here, f"is {step!r}, not a step like {EXAMPLE}"
            continue
        for key in step:
            if key not in KEYS:
                yield (*here, str(key)), f"is no setting; a step is like {EXAMPLE}"
        after, to = step.get("after_min"), step.get("to")
        if not isinstance(after, int) or isinstance(after, bool) or not 1 <= after <= LONGEST_MIN:
            yield (
                (*here, "after_min"),
                f"is {after!r}, not a whole number of minutes from 1 to {LONGEST_MIN}",
            )
        if to not in targets:
            yield (
                (*here, "to"),
                f"is {to!r}, neither an agent nor a group nor operator{_meant(to, targets)}",
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
        return {"escalation_findings": escalation_findings}
