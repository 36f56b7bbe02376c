"""Check the guests of a fleet's inventory: agents on machines that Ansible does not manage.

Reads what Ansible knows. What it finds has the form of preflight_values.py's findings. That an
agent's name is used once, also by a guest, is checked in preflight.py.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
RESERVED = ("operator", "all", "bus")
"""Both as in preflight.py, which a test compares."""
KEYS = ("agents", "addresses")
EXAMPLE = "`guests: {laptop-anna: [anna-claude]}`"
RULE = "lower-case letters, digits, - and _ (at most 63), beginning with a letter or digit"
Finding = dict[str, Any]


def guest_findings(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Return what is wrong with the guests that the inventory lists; nothing without any."""
    everyone = list(dict.fromkeys([*groups.get("hub", []), *groups.get("nodes", [])]))
    variables = hostvars[everyone[0]] if everyone else {}
    guests = variables.get("guests")
    if guests is None:
        return []
    if not isinstance(guests, dict):
        says = f"guests is {guests!r}, not a mapping of names to lists of agents: {EXAMPLE}"
        return [_finding("guests", says=says)]
    hosts = {*groups.get("all", []), *everyone}
    found: list[Finding] = []
    for guest, said in guests.items():
        found += _name(guest, hosts)
        found += _entry(str(guest), said)
        if _is_shut_out(said, variables):
            says = (
                f"message_bus_firewall shuts guest {guest} out; name the addresses that it comes "
                f"from, `{guest}: {{agents: [...], addresses: [192.168.1.50]}}`, or a network of "
                "theirs in message_bus_firewall_allow"
            )
            found.append(_finding(str(guest), says=says))
    return found


def _name(guest: object, hosts: set[str]) -> Iterator[Finding]:
    if not isinstance(guest, str) or not NAME.fullmatch(guest):
        simple = re.sub(r"[^a-z0-9_-]+", "-", str(guest).lower()).strip("-_")[:63]
        hint = f", for example {simple!r}" if simple and simple not in RESERVED else ""
        yield _finding(str(guest), says=f"guest name {guest!r} is not valid; use {RULE}{hint}")
    elif guest in RESERVED:
        words = ", ".join(RESERVED)
        yield _finding(guest, says=f"guest name {guest!r} is reserved ({words}); choose another")
    elif guest in hosts:
        says = (
            f"guest {guest!r} is also a host of the inventory; a guest is a machine that Ansible "
            "does not manage: give it another name, or list its agents under the host"
        )
        yield _finding(guest, says=says)


def _entry(guest: str, said: object) -> Iterator[Finding]:
    if isinstance(said, dict):
        for key in said:
            if key not in KEYS:
                nearly = difflib.get_close_matches(str(key), KEYS, n=1)
                hint = f"did you mean {nearly[0]!r}?" if nearly else f"it has {' and '.join(KEYS)}"
                says = f"guest {guest} has an unknown setting {key!r}; {hint}"
                yield _finding(str(key), guest, says=says)
        yield from _addresses(guest, said.get("addresses"))
        said = said.get("agents")
    if not isinstance(said, list | tuple):
        says = f"the agents of guest {guest} are {said!r}, not a list; write `[anna-claude]`"
        yield _finding(guest, says=says)
    elif not said:
        yield _finding(guest, says=f"guest {guest} has no agents; list one or remove the guest")
    for agent in said if isinstance(said, list | tuple) else ():
        yield from _agent(guest, agent)


def _agent(guest: str, agent: object) -> Iterator[Finding]:
    if not isinstance(agent, str):
        says = f"an agent of guest {guest} is {agent!r}; write its name, since nothing wakes it"
        yield _finding(guest, says=says)
    elif not NAME.fullmatch(agent):
        says = f"agent name {agent!r} of guest {guest} is not valid; use {RULE}"
        yield _finding(guest, says=says)
    elif agent in RESERVED:
        words = ", ".join(RESERVED)
        says = f"agent name {agent!r} of guest {guest} is reserved ({words}); choose another"
        yield _finding(guest, says=says)


def _addresses(guest: str, addresses: object) -> Iterator[Finding]:
    if addresses is None:
        return
    if not isinstance(addresses, list | tuple):
        says = f"addresses of guest {guest} is {addresses!r}, not a list; write `[192.168.1.50]`"
        yield _finding("addresses", guest, says=says)
        return
    for address in addresses:
        try:
            ipaddress.ip_network(str(address), strict=False)
        except ValueError:
            says = (
                f"addresses of guest {guest} has {str(address)!r}, which is neither an address "
                "nor a network like 192.168.1.0/24"
            )
            yield _finding("addresses", guest, says=says)


def _is_shut_out(said: object, variables: Mapping[str, Any]) -> bool:
    """Tell whether the rule for the port lets no address in that could be the guest's."""
    guarded = str(variables.get("message_bus_firewall", False)).lower() in {"true", "yes", "1"}
    addresses = said.get("addresses") if isinstance(said, dict) else None
    return guarded and not addresses and not variables.get("message_bus_firewall_allow")


def _finding(*keys: str, says: str) -> Finding:
    """Return a finding; `keys` lead to its place, the strongest first."""
    return {"keys": [*keys, "guests"], "says": says}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"guest_findings": guest_findings}
