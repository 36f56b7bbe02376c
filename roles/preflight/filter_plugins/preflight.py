"""Check a fleet's inventory before any host is touched.

Pure: takes what Ansible knows, returns sentences. Each names the file and the line where that is
known, what is wrong and what to write instead; all of them come in one go.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
RESERVED = ("operator", "all", "bus")
TURN_WAKERS = ("claude-code", "codex")
WAKERS = ("hook", "command", *TURN_WAKERS)
AGENT_KEYS = ("name", "waker", "command", "own_token", "token_user")
INVENTORY_VARIABLES = (
    "agents",
    "agent_groups",
    "guests",
    "message_rights",
    "wake_budgets",
    "message_escalation",
    "bus_address",
    "openclaw_user",
    "openclaw_gateway_url",
    "operator_channels",
    "agent_bus_secrets_dir",
    "agent_bus_new_secrets",
    "agent_bus_retry_bad",
    "message_bus_agent_groups",
    "message_bus_force_roster",
    "message_bus_new_secrets",
    "rollout_batches",
)
OWN_PREFIXES = ("message_bus_", "bus_watcher_", "openclaw_bus_", "preflight_", "agent_bus_")
OLDEST_CORE, FIRST_UNTRIED_CORE = (2, 19), (2, 22)
Place = dict[str, Any]


class Places:
    """Answers where something stands, as `file:line`, else as the inventory's name."""

    def __init__(self, places: Sequence[Place], sources: Sequence[str]) -> None:
        self._places = places
        self._fallback = ", ".join(sources) or "the inventory"

    def of(self, *keys: str, value: str | None = None) -> str:
        """Return the first place below all these keys (in any order) that has the value.

        The keys are given from the strongest to the weakest. If nothing has all of them, the last
        one is left out, so that at least the host's line is named.
        """
        for count in range(len(keys), 0, -1):
            wanted = set(keys[:count])
            for place in self._places:
                if wanted <= set(place["keys"]) and (value is None or place["value"] == value):
                    return f"{place['file']}:{place['line']}"
            if value is not None:
                found = self.of(*keys[:count])
                if found != self._fallback:
                    return found
        return self._fallback

    def along(self, *way: str) -> str:
        """Return the place where these keys, each right below the one before, lead to.

        If nothing is there, the place of as many of them as lead to one.
        """
        for count in range(len(way), 0, -1):
            wanted = list(way[:count])
            for place in self._places:
                keys = list(place["keys"])
                first = keys.index(way[0]) if way[0] in keys else len(keys)
                if keys[first : first + count] == wanted:
                    return f"{place['file']}:{place['line']}"
        return self._fallback

    def variables(self) -> Iterator[tuple[str, str]]:
        """Give each variable that the operator set, with its place."""
        seen = set()
        for place in self._places:
            at = f"{place['file']}:{place['line']}"
            if place["sets"] and (place["sets"], at) not in seen:
                seen.add((place["sets"], at))
                yield place["sets"], at


def closest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the known word that is nearly this one, else nothing."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.75)
    return f"; did you mean {found[0]!r}?" if found else ""


def preflight_errors(
    places: Sequence[Place],
    *,
    hostvars: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    sources: Sequence[str],
    role_variables: Iterable[str],
    core_version: str,
    findings: Sequence[Mapping[str, Any]] = (),
) -> list[str]:
    """Return one sentence for each thing that has to be mended, in a useful order.

    `findings` are those of preflight_values.py.
    """
    where = Places(places, sources)
    nodes, hubs = list(groups.get("nodes", [])), list(groups.get("hub", []))
    everyone = list(dict.fromkeys([*hubs, *nodes, *groups.get("all", [])]))
    raw = {host: hostvars[host].get("agents") for host in everyone}
    unknown = list(unknown_variables(where, role_variables))
    errors = [*_core(core_version), *_hub(where, hubs), *(text for _, text in unknown)]
    misspelt = {name for name, _ in unknown}
    agents: dict[str, list[str]] = {}
    for host in everyone:
        names, found = host_agents(where, host, raw[host])
        errors.extend(found)
        for name in names:
            agents.setdefault(name, []).append(host)
        has_misspelt = any(name in hostvars[host] for name in misspelt)
        errors.extend(
            _membership(where, host, raw[host], nodes=nodes, hubs=hubs, excused=has_misspelt)
        )
        errors.extend(_host_settings(where, host, hostvars[host], hubs))
    first = everyone[0] if everyone else None
    for guest, names in _guest_agents(hostvars[first].get("guests") if first else None):
        for name in names:
            agents.setdefault(name, []).append(guest)
    errors.extend(_unique(where, agents))
    agent_groups = hostvars[first].get("agent_groups") if first else None
    errors.extend(_agent_groups(where, agent_groups or {}, agents))
    errors.extend(f"{_place_of(found, where)}: {found['says']}" for found in findings)
    return list(dict.fromkeys(errors))


def _core(version: str) -> Iterator[str]:
    parts = tuple(int(part) for part in version.split(".")[:2])
    if not OLDEST_CORE <= parts < FIRST_UNTRIED_CORE:
        yield (
            f"ansible-core {version} is not one of {_dotted(OLDEST_CORE)} to below "
            f"{_dotted(FIRST_UNTRIED_CORE)}, with which this works: run `make setup` and use "
            ".venv/bin/ansible-playbook"
        )


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _hub(where: Places, hubs: Sequence[str]) -> Iterator[str]:
    if not hubs:
        yield (
            f"{where.of('all')}: group 'hub' is empty or missing; put one host into it, the one "
            "that runs the message bus, or three"
        )


def _membership(
    where: Places,
    host: str,
    agents: object,
    *,
    nodes: Sequence[str],
    hubs: Sequence[str],
    excused: bool,
) -> Iterator[str]:
    if agents and host not in nodes:
        yield (
            f"{where.of(host, 'agents')}: {host} has agents but is not in group 'nodes'; add it "
            "there, so that it gets a watcher that wakes them"
        )
    if not agents and host in nodes and host not in hubs and not excused:
        yield (
            f"{where.of('nodes', host)}: {host} has no agents; give it a list `agents: [name]` or "
            "remove it from group 'nodes'"
        )


def _host_settings(
    where: Places, host: str, variables: Mapping[str, Any], hubs: Sequence[str]
) -> Iterator[str]:
    url = variables.get("openclaw_gateway_url")
    if url is not None and not re.match(r"https?://[^/]+/?$", str(url)):
        yield (
            f"{where.of('openclaw_gateway_url')}: openclaw_gateway_url {str(url)!r} of {host} is "
            "not an address like http://127.0.0.1:18789"
        )
    user = variables.get("openclaw_user")
    if user is not None and not re.fullmatch(r"[a-z_][a-z0-9_.-]{0,31}", str(user)):
        yield (
            f"{where.of('openclaw_user')}: openclaw_user {str(user)!r} of {host} is not the name "
            "of a user"
        )
    if hubs and host not in hubs and "bus_address" in variables:
        at = where.of(host, "bus_address")
        hub_sets_it = any(place in at for place in ("group_vars", "vars"))
        if not hub_sets_it:
            yield (
                f"{at}: bus_address is set for {host}; it says how the nodes reach the hub, so "
                f"set it for {hubs[0]}"
            )


def host_agents(where: Places, host: str, agents: object) -> tuple[list[str], list[str]]:
    """Return the well-formed agent names of a host, and what is wrong with the others."""
    if agents is None:
        return [], []
    if not isinstance(agents, list | tuple):
        at = where.of(host, "agents")
        return [], [f"{at}: agents of {host} is not a list; write `agents: [{agents}]`"]
    names: list[str] = []
    errors: list[str] = []
    for number, agent in enumerate(agents, start=1):
        wrong = list(_agent_entry(where, host, number, agent))
        errors.extend(wrong)
        name = agent.get("name") if isinstance(agent, dict) else agent
        if isinstance(name, str) and not list(_agent_name(where, host, name)):
            names.append(str(name))
    return names, errors


def _agent_entry(where: Places, host: str, number: int, agent: object) -> Iterator[str]:
    at = where.of(host, "agents", str(number - 1))
    if isinstance(agent, str):
        yield from _agent_name(where, host, agent)
        return
    if not isinstance(agent, dict) or not isinstance(agent.get("name"), str):
        yield (
            f"{at}: agent {number} of {host} is {agent!r}; write a name, or a mapping with "
            "`name:` (quote names that YAML takes for numbers or booleans)"
        )
        return
    name = str(agent["name"])
    yield from _agent_name(where, host, name)
    for key in agent:
        if key not in AGENT_KEYS and agent.get("waker") not in TURN_WAKERS:
            yield (
                f"{where.of(host, 'agents', str(key))}: agent {name} of {host} has an unknown "
                f"setting {key!r}{closest(str(key), AGENT_KEYS) or _one_of(AGENT_KEYS)}"
            )
    waker, command = agent.get("waker", "hook"), agent.get("command")
    if waker not in WAKERS:
        yield f"{at}: waker {waker!r} of agent {name} on {host} is unknown{_one_of(WAKERS)}"
    elif waker == "command" and not _is_argv(command):
        yield (
            f"{at}: agent {name} of {host} has waker `command` and needs the program as a list "
            'of words, like `command: [/usr/local/bin/wake, "{agent}"]`'
        )
    elif waker == "hook" and command is not None:
        yield f"{at}: agent {name} of {host} has a command; add `waker: command` or remove it"


def _is_argv(command: object) -> bool:
    return (
        isinstance(command, list | tuple)
        and bool(command)
        and all(isinstance(word, str) for word in command)
    )


def _one_of(words: Sequence[str]) -> str:
    return f"; it is one of {', '.join(words)}"


def _agent_name(where: Places, host: str, name: str) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield (
            f"{where.of(host, 'agents', value=name)}: agent name {name!r} of {host} is not valid; "
            "use lower-case letters, digits, - and _ (at most 63), beginning with a letter or "
            "digit" + _suggestion(name)
        )
    elif name in RESERVED:
        yield (
            f"{where.of(host, 'agents', value=name)}: agent name {name!r} of {host} is reserved "
            f"({', '.join(RESERVED)}); choose another"
        )


def _suggestion(name: str) -> str:
    simple = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:63]
    return f", for example {simple!r}" if simple and simple not in RESERVED else ""


def _place_of(found: Mapping[str, Any], where: Places) -> str:
    """Return where a finding stands: it says so itself, or has what leads there."""
    if "at" in found:
        return str(found["at"])
    return where.along(*found["way"]) if "way" in found else where.of(*found["keys"])


def _unique(where: Places, agents: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, hosts in agents.items():
        if len(hosts) == 1:
            continue
        at = [where.of(host, "agents", value=name) for host in dict.fromkeys(hosts)]
        if len(at) == 1:
            yield f"{at[0]}: agent {name!r} stands twice in the list of {hosts[0]}; remove one"
        else:
            yield (
                f"{' and '.join(at)}: agent {name!r} is on {' and '.join(hosts)}; a name is "
                "used once in the fleet, rename or remove one"
            )


def _guest_agents(guests: object) -> Iterator[tuple[str, list[str]]]:
    """Give the agents of each guest that are well-formed; preflight_guests.py finds the others."""
    for guest, said in guests.items() if isinstance(guests, dict) else ():
        listed = said.get("agents") if isinstance(said, dict) else said
        names = listed if isinstance(listed, list | tuple) else ()
        yield (
            str(guest),
            [name for name in names if isinstance(name, str) and NAME.fullmatch(name)],
        )


def _agent_groups(
    where: Places, agent_groups: object, agents: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    if not isinstance(agent_groups, dict):
        yield f"{where.of('agent_groups')}: agent_groups is not a mapping of names to lists"
        return
    for group, members in agent_groups.items():
        at = where.of("agent_groups", str(group))
        if not NAME.fullmatch(str(group)) or group in RESERVED:
            yield f"{at}: group name {str(group)!r} is not valid or reserved; choose another"
        if group in agents:
            yield f"{at}: group {group!r} has the name of an agent; rename one of them"
        if not isinstance(members, list | tuple):
            yield f"{at}: group {group!r} is not a list; write `{group}: [{members}]`"
            continue
        for member in members:
            if member not in agents:
                yield (
                    f"{where.of('agent_groups', str(group), value=str(member))}: group {group!r} "
                    f"names {member!r}, which no host or guest has{closest(str(member), agents)}"
                )


def unknown_variables(where: Places, role_variables: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give the name and the sentence of each variable that looks like ours and is not.

    The operator's own variables are left alone: only a name that begins like a role's variables,
    or is nearly one of the inventory's, counts as a slip.
    """
    known = [*INVENTORY_VARIABLES, *role_variables]
    for name, at in where.variables():
        if name in known or name.startswith("ansible_"):
            continue
        prefix = next((prefix for prefix in OWN_PREFIXES if name.startswith(prefix)), "")
        alike = [other for other in known if other.startswith(prefix)] if prefix else []
        nearly = _closest_ending(name, prefix, alike) or closest(name, INVENTORY_VARIABLES)
        if nearly or prefix:
            hint = nearly or "; docs/reference/inventory.md lists them all"
            yield name, f"{at}: unknown variable {name!r}{hint}"


def _closest_ending(name: str, prefix: str, known: Iterable[str]) -> str:
    """As `closest`, for names that begin alike: only the rest tells how near they are."""
    endings = [other.removeprefix(prefix) for other in known]
    found = difflib.get_close_matches(name.removeprefix(prefix), endings, n=1, cutoff=0.7)
    return f"; did you mean {prefix + found[0]!r}?" if found else ""


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"preflight_errors": preflight_errors}
