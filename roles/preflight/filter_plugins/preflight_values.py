"""Check what the variables of a fleet's inventory hold, and its tokens on the control node.

Finds what preflight.py then puts a place to: a finding has the `keys` that lead to it (the
strongest first, as `Places.of` wants them) and what it `says`.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.common.validation import (
    check_type_bool,
    check_type_float,
    check_type_int,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Finding = dict[str, Any]
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
OF_THE_WHOLE_FLEET = (
    "agent_groups",
    "guests",
    "message_rights",
    "wake_budgets",
    "message_escalation",
    "message_bus_port",
    "agent_bus_secrets_dir",
)
"""Hub and nodes use these of each other, so they have to say the same."""
SHORTEST_TOKEN = 20
HIGHEST_PORT = 65_535
CHECKS = {"int": check_type_int, "float": check_type_float, "bool": check_type_bool}
WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "dict": "a mapping",
    "list": "a list",
}


def value_findings(
    places: Sequence[Mapping[str, Any]],
    *,
    hostvars: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    specs: Mapping[str, Mapping[str, Any]],
    secrets: str,
) -> list[Finding]:
    """Return what is wrong with values, with files for nobody, with the folder of tokens."""
    hosts = list(dict.fromkeys([*groups.get("hub", []), *groups.get("nodes", [])]))
    variables = {host: hostvars[host] for host in hosts}
    set_here = {str(place["sets"]) for place in places if place["sets"]}
    found = [*_twice(places), *_strangers(places, groups, set_here & {*specs, *OURS})]
    found += _hosts(hosts)
    given = {name for values in variables.values() for name in values}
    for name in sorted(given & {*specs, *OURS}):
        wrong = _values(name, variables, specs.get(name) or OURS[name])
        found += wrong if name in set_here else ({**one, "at": ELSEWHERE} for one in wrong)
    found += _differing(variables)
    guests = variables[hosts[0]].get("guests") if hosts else None
    invited = list(guests) if isinstance(guests, dict) else []
    return [*found, *_tokens(Path(secrets), hosts, invited)]


ELSEWHERE = "-e, or what else this run was given"
"""The place of a value that no file of the inventory sets."""
OURS: dict[str, dict[str, Any]] = {
    "agents": {},
    "agent_groups": {},
    "guests": {},
    "operator_channels": {},
    "message_rights": {},
    "wake_budgets": {},
    "message_escalation": {},
    "bus_address": {"type": "str"},
    "openclaw_user": {"type": "str"},
    "openclaw_gateway_url": {"type": "str"},
    "agent_bus_secrets_dir": {"type": "path"},
    "agent_bus_new_secrets": {"type": "bool"},
    "agent_bus_retry_bad": {"type": "bool"},
    "message_bus_agent_groups": {"type": "dict"},
    "message_bus_force_roster": {"type": "bool"},
    "message_bus_new_secrets": {"type": "bool"},
}
"""The inventory's own variables; those without a type are checked elsewhere."""


def _twice(places: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    first: dict[tuple[Any, ...], int] = {}
    said: set[tuple[Any, ...]] = set()
    for place in places:
        where = (place["file"], *place["keys"])
        if place["value"] is None and first.setdefault(where, place["line"]) != place["line"]:
            inside = any(where[:count] in said for count in range(len(where)))
            said.add(where)
            if inside:
                continue
            yield {
                "at": f"{place['file']}:{place['line']}",
                "says": f"{place['keys'][-1]!r} stands here and in line {first[where]}; only the "
                "last one counts, make one of them",
            }


def _strangers(
    places: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]], ours: set[str]
) -> Iterator[Finding]:
    """Find files of host_vars and group_vars that set our variables for nobody."""
    known = {"host_vars": list(groups.get("all", [])), "group_vars": list(groups)}
    for place in places:
        kind, owner = (*place["keys"], "", "")[:2]
        if place["sets"] not in ours or kind not in known or owner in known[kind]:
            continue
        what = "host" if kind == "host_vars" else "group"
        yield {
            "at": f"{place['file']}:{place['line']}",
            "says": f"{place['sets']} is set for {what} {owner!r}, which the inventory does not "
            f"have{_meant(owner, known[kind]) or '; add it or remove the file'}",
        }


def _hosts(hosts: Sequence[str]) -> Iterator[Finding]:
    for host in hosts:
        if not HOST.fullmatch(host):
            yield {
                "keys": [host],
                "says": f"host name {host!r} is not valid, since files and nodes of the bus get "
                "it; use letters, digits, dots, - and _, and ansible_host for its address",
            }


def _values(
    name: str, variables: Mapping[str, Mapping[str, Any]], spec: Mapping[str, Any]
) -> Iterator[Finding]:
    """Find wrong values of a variable, hosts with the same one together."""
    hosts: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for host, values in variables.items():
        for way, says in _wrong((name,), values[name], spec) if name in values else ():
            hosts.setdefault((way, says), []).append(host)
    for (way, says), (first, *others) in hosts.items():
        more = f" and {len(others)} more" if others else ""
        yield {"keys": [*way, first], "says": f"{'.'.join(way)} of {first}{more} is {says}"}


def _wrong(
    way: tuple[str, ...], value: object, spec: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give the way to each wrong value, and what it is and should be instead."""
    kind, choices = spec.get("type", "raw"), spec.get("choices", [])
    if value is False and "off" in choices:
        return  # YAML's word for an `off` without quotes
    if not _is_of(kind, value):
        yield way, f"{value!r}, not {WORDS.get(kind, 'a text')}"
    elif choices and value not in choices:
        yield way, f"{value!r}, not one of {', '.join(map(str, choices))}"
    elif way[-1].endswith("_port") and not 0 < int(str(value)) <= HIGHEST_PORT:
        yield way, f"{value!r}, not a port (1 to {HIGHEST_PORT})"
    elif kind == "path" and not str(value).startswith("/"):
        yield way, f"{value!r}, not a whole path, one that begins with /"
    elif way[-1] == "bus_address" and not ADDRESS.fullmatch(str(value)):
        yield way, f"{value!r}, not a name or an IPv4 address alone (message_bus_port is the port)"
    elif isinstance(value, dict) and "options" in spec:
        for key, inner in value.items():
            if key in spec["options"]:
                yield from _wrong((*way, key), inner, spec["options"][key])
            else:
                yield (*way, str(key)), f"unknown{_meant(str(key), spec['options'])}"


def _meant(word: str, known: Iterable[str]) -> str:
    nearly = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {nearly[0]!r}?" if nearly else ""


def _is_of(kind: str, value: object) -> bool:
    if kind in {"dict", "list"}:
        return isinstance(value, {"dict": dict, "list": list}[kind])
    if kind in {"str", "path"}:
        return isinstance(value, str | int | float) and not isinstance(value, bool)
    if kind not in CHECKS:
        return True
    try:
        CHECKS[kind](value)
    except (TypeError, ValueError):
        return False
    return kind == "bool" or not isinstance(value, bool)


def _differing(variables: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    for name in OF_THE_WHOLE_FLEET:
        values = [found.get(name) for found in variables.values()]
        if any(value != values[0] for value in values):
            yield {
                "keys": [name],
                "says": f"{name} is not the same for all hosts; set it once for all of them "
                "(group_vars/all.yml)",
            }


def _tokens(folder: Path, hosts: Sequence[str], guests: Sequence[str]) -> Iterator[Finding]:
    """Find tokens that are damaged or that others may read; missing ones will be made."""
    names = ["admin", *(f"{kind}/{host}" for host in hosts for kind in ("nodes", "hooks"))]
    names += [f"guests/{guest}" for guest in guests]
    for path in (folder / f"{name}.token" for name in names):
        try:
            text = path.read_text(encoding="utf-8")
            readable = path.stat().st_mode & 0o077
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            yield {"at": str(path), "says": f"this token cannot be read: {error}"}
            continue
        vaulted = text.startswith("$ANSIBLE_VAULT")
        if not vaulted and (len(text.split()) != 1 or len(text.strip()) < SHORTEST_TOKEN):
            yield {
                "at": str(path),
                "says": "this is not a token; restore it from your backup, or delete it and have "
                "a new one made by site.yml",
            }
        if readable:
            yield {"at": str(path), "says": f"others may read this token: chmod 600 {path}"}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"value_findings": value_findings}
