"""Check the wake budgets: whom they are about, and their figures.

Reads what Ansible knows. A finding has the `way` to its place, and what it `says`. A budget
that can never matter, such as an agent's above its group's, is no mistake.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

VARIABLE = "wake_budgets"
KINDS = ("fleet", "groups", "agents")
FIGURES = ("per_hour", "per_day", "urgent_reserve")
EXAMPLE = "`{fleet: {per_day: 500}, agents: {chef: {per_hour: 10, urgent_reserve: 5}}}`"
MOST = 10_000_000
"""The largest figure that the hub takes."""
Finding = dict[str, Any]
Slip = tuple[tuple[str, ...], str]
"""The way to a mistake, and what it is."""


def budget_findings(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Return what is wrong with the budgets of the inventory; nothing without any."""
    hosts = list(dict.fromkeys([*groups.get("hub", []), *groups.get("nodes", [])]))
    variables = hostvars[hosts[0]] if hosts else {}
    budgets = variables.get(VARIABLE)
    if budgets is None:
        return []
    if not isinstance(budgets, dict):
        return [_finding((), f"{VARIABLE} is {budgets!r}, not a mapping like {EXAMPLE}")]
    listed = variables.get("message_bus_agent_groups") or variables.get("agent_groups") or {}
    guests = variables.get("guests")
    known = {
        "groups": list(listed),
        "agents": _agents([hostvars[host] for host in hosts]),
        "guests": _guests(guests if isinstance(guests, dict) else {}),
    }
    return [_finding(way, f"{VARIABLE} {says}") for way, says in _slips(budgets, known)]


def _slips(budgets: Mapping[str, Any], known: Mapping[str, Sequence[str]]) -> Iterator[Slip]:
    for kind, given in budgets.items():
        if kind not in KINDS:
            yield (str(kind),), f"has {kind!r}, which is not one of {', '.join(KINDS)}"
        elif kind == "fleet":
            if given is not False and given is not None:
                yield from _figures(("fleet",), given)
        elif given is not None and not isinstance(given, dict):
            yield (kind,), f"has {kind} {given!r}, not a mapping of names to budgets: {EXAMPLE}"
        else:
            for name, budget in (given or {}).items():
                yield from _named(kind, str(name), known)
                yield from _figures((kind, str(name)), budget)


def _named(kind: str, name: str, known: Mapping[str, Sequence[str]]) -> Iterator[Slip]:
    """Find a budget of nobody, or of somebody whom the bus never wakes."""
    if name in known[kind]:
        return
    way = (kind, name)
    if kind == "agents" and name in known["guests"]:
        yield way, f"is about {name!r}, an agent of a guest: the bus wakes no guest; leave it out"
    elif name.removeprefix("@") in known["groups"]:
        yield way, f"has the group {name!r} in {kind}; write `groups: {{{name.lstrip('@')}: ...}}`"
    else:
        nearly = difflib.get_close_matches(name, list(known[kind]), n=1, cutoff=0.6)
        hint = f"; did you mean {nearly[0]!r}?" if nearly else ""
        yield way, f"has {name!r} in {kind}, which the inventory does not have{hint}"


def _figures(way: tuple[str, ...], budget: object) -> Iterator[Slip]:
    of = " ".join(way)
    if not isinstance(budget, dict) or not budget:
        yield way, f"has {budget!r} for {of}, not figures like `{{per_hour: 10, per_day: 100}}`"
        return
    wrong = False
    for key, value in budget.items():
        here = (*way, str(key))
        if key not in FIGURES:
            wrong = True
            nearly = difflib.get_close_matches(str(key), FIGURES, n=1)
            hint = f"did you mean {nearly[0]!r}?" if nearly else f"it has {', '.join(FIGURES)}"
            yield here, f"has an unknown figure {key!r} for {of}; {hint}"
        elif isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
            wrong = True
            yield here, f"has {key} {value!r} for {of}, not a whole number from 0 to {MOST}"
    if not wrong:
        yield from _together(way, budget)


def _together(way: tuple[str, ...], budget: Mapping[str, int]) -> Iterator[Slip]:
    of = " ".join(way)
    hour, day = budget.get("per_hour"), budget.get("per_day")
    reserve = budget.get("urgent_reserve", 0)
    if hour is None and day is None:
        yield (
            (*way, "urgent_reserve"),
            f"has a reserve for {of} but no budget that it goes past; add per_hour or per_day",
        )
    elif day is not None and reserve > day > 0:
        says = f"has an urgent_reserve of {reserve} for {of}, more than its per_day {day}"
        yield (*way, "urgent_reserve"), f"{says}; raise per_day, or lower the reserve"
    if hour is not None and day is not None and hour > day:
        yield (*way, "per_hour"), f"has per_hour {hour} for {of}, more than its per_day {day}"


def _agents(variables: Sequence[Mapping[str, Any]]) -> list[str]:
    lists = [listed for of in variables if isinstance(listed := of.get("agents"), list | tuple)]
    agents = [agent for listed in lists for agent in listed]
    return [str(agent.get("name") if isinstance(agent, dict) else agent) for agent in agents]


def _guests(guests: Mapping[str, Any]) -> list[str]:
    lists = [said.get("agents") if isinstance(said, dict) else said for said in guests.values()]
    return [str(agent) for one in lists if isinstance(one, list | tuple) for agent in one]


def _finding(way: Sequence[str], says: str) -> Finding:
    return {"way": [VARIABLE, *way], "says": says}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"budget_findings": budget_findings}
