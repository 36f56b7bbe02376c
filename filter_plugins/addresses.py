"""Where hosts are reached: who may come in by the hub's port, and which names are one machine.

Reads what Ansible knows and asks this machine's name resolution; contacts no host. What it finds
wrong has the form of preflight_values.py's findings.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOOK_UP_S = 3.0
"""For all names together; the check on the hosts sees to the names without an address by then."""
NO_NAME = "agent-bus-preflight.invalid"
"""Resolves only if name servers answer for every name (RFC 6761); then they prove nothing."""
SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")
OTHER_WAYS = ("ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args")
"""Through different jump hosts one address may be two machines."""
Finding = dict[str, Any]


def fleet_addresses(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the addresses of each host, sorted; an empty list where they cannot be told.

    They are those at which Ansible reaches the host, as this machine resolves them.
    """
    return {host: _resolve(address_of(variables, host)) for host, variables in hosts.items()}


def _resolve(name: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    addresses = {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}
    usable = [one for one in addresses if not one.is_loopback and not one.is_link_local]
    return [str(one) for one in sorted(usable, key=lambda one: (one.version, one))]


def firewall_findings(
    variables: Mapping[str, Any],
    *,
    hosts: Mapping[str, Mapping[str, Any]],
    hubs: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Finding]:
    """Return what keeps the rule for the port from being written.

    Args:
        variables: the hub's.
        hosts: the variables of every host that has agents.
        hubs: those of every hub with a part of the fleet's own database, which only hubs reach.
    """
    if str(variables.get("message_bus_firewall", False)).lower() not in {"true", "yes", "1"}:
        return []
    found = []
    for name in ("message_bus_firewall_fleet", "message_bus_firewall_allow"):
        for entry in variables.get(name) or []:
            try:
                ipaddress.ip_network(str(entry), strict=False)
            except ValueError:
                says = (
                    f"{name} has {str(entry)!r}, which is neither an address nor a network like "
                    "192.168.1.0/24"
                )
                found.append({"keys": [name], "says": says})
    if not variables.get("message_bus_firewall_fleet"):
        untold = [host for host, addresses in fleet_addresses(hosts).items() if not addresses]
        if untold:
            says = (
                f"this machine cannot tell the addresses of {', '.join(untold)}, which "
                "message_bus_firewall is to let through; set ansible_host to them, or list all "
                "addresses in message_bus_firewall_fleet"
            )
            found.append({"keys": ["message_bus_firewall"], "says": says})
    found += [
        {
            "keys": [hub, "message_bus_firewall"],
            "says": (
                f"this machine cannot tell the address of {hub}, by which message_bus_firewall "
                "is to let it reach the other hubs' database; set its ansible_host or "
                "bus_address to it"
            ),
        }
        for hub, own in (hubs or {}).items()
        if not any(hub_sets({hub: own}).values())
    ]
    return found


def firewall_sets(
    variables: Mapping[str, Any],
    hosts: Mapping[str, Mapping[str, Any]],
    guests: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> dict[str, list[str]]:
    """Return the sets `ipv4` and `ipv6` of what may reach the port, without overlaps.

    Args:
        variables: the hub's.
        hosts: the variables of every host that has agents.
        guests: with the addresses that each comes from (filter_plugins/guests.py).
    """
    listed = variables.get("message_bus_firewall_fleet") or [
        address for addresses in fleet_addresses(hosts).values() for address in addresses
    ]
    theirs = [address for guest in (guests or {}).values() for address in guest["addresses"]]
    allowed = [*listed, *theirs, *(variables.get("message_bus_firewall_allow") or [])]
    networks = [ipaddress.ip_network(str(entry), strict=False) for entry in allowed]
    four = [one for one in networks if isinstance(one, ipaddress.IPv4Network)]
    six = [one for one in networks if isinstance(one, ipaddress.IPv6Network)]
    return {
        "ipv4": [str(one) for one in ipaddress.collapse_addresses(four)],
        "ipv6": [str(one) for one in ipaddress.collapse_addresses(six)],
    }


def hub_sets(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the sets `ipv4` and `ipv6` of what may reach the hubs' database: the hubs.

    Args:
        hosts: the variables of every hub.
    """
    buses = {host: {"ansible_host": own.get("bus_address", host)} for host, own in hosts.items()}
    both = [*fleet_addresses(hosts).values(), *fleet_addresses(buses).values()]
    found = list(dict.fromkeys(address for addresses in both for address in addresses))
    return firewall_sets({"message_bus_firewall_fleet": found}, {})


def address_of(variables: Mapping[str, Any], host: str) -> str:
    """Return the name or address at which Ansible reaches a host, without brackets and zone.

    `ansible_ssh_host` is the older word for `ansible_host`, and still wins.
    """
    given = variables.get("ansible_ssh_host") or variables.get("ansible_host") or host
    return str(given).strip().strip("[]").partition("%")[0]


def same_address_findings(
    hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """Return one finding per pair of hosts that Ansible reaches in the very same way."""
    hosts = list(dict.fromkeys([*groups.get("hub", []), *groups.get("nodes", [])]))
    addresses = _look_up({host: _where(hostvars[host], host) for host in hosts})
    first: dict[tuple[str, ...], str] = {}
    found: dict[tuple[str, str], Finding] = {}
    for host in hosts:
        for address in addresses[host]:
            other = first.setdefault((*_way(hostvars[host]), address), host)
            if other != host:
                at = f"both are reached at {_shown(hostvars[host], host)}"
                says = _one_machine([other, host], at)
                found.setdefault((other, host), {"keys": [host, "ansible_host"], "says": says})
    return list(found.values())


def one_machine_errors(
    machines: Mapping[str, str], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return a sentence for each machine that answered under several names.

    Args:
        machines: what each host said of its machine; empty if it did not say.
        hostvars: Ansible's own.
    """
    names: dict[str, list[str]] = defaultdict(list)
    for host, machine in machines.items():
        names[machine].append(host)
    return [
        _one_machine(
            hosts, " and ".join(f"{host} at {_shown(hostvars[host], host)}" for host in hosts)
        )
        for machine, hosts in names.items()
        if machine and len(hosts) > 1
    ]


def _one_machine(hosts: Sequence[str], how: str) -> str:
    return (
        f"{' and '.join(hosts)} are one machine ({how}), and each run would roll one over the "
        "other: keep one name, with the agents of both, and remove the other from the inventory. "
        "If they are two machines, correct ansible_host"
    )


def _connection(variables: Mapping[str, Any]) -> str:
    return str(variables.get("ansible_connection") or "ssh").removeprefix("ansible.builtin.")


def _port(variables: Mapping[str, Any]) -> str:
    return str(variables.get("ansible_ssh_port") or variables.get("ansible_port") or "")


def _way(variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what two hosts of one address have in common if they are one machine."""
    connection = _connection(variables)
    if connection in SSH:
        others = [str(variables.get(name) or "") for name in OTHER_WAYS]
        return ("ssh", _port(variables) or "22", *others)
    return (connection,)


def _where(variables: Mapping[str, Any], host: str) -> str:
    return "this machine" if _connection(variables) == "local" else address_of(variables, host)


def _shown(variables: Mapping[str, Any], host: str) -> str:
    port = _port(variables)
    return _where(variables, host) + (f" port {port}" if port else "")


def _look_up(names: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the addresses of each host and its name itself, all looked up at once."""
    found: dict[str, set[str]] = {host: {name.lower()} for host, name in names.items()}
    resolved: dict[str, list[str]] = {}

    def resolve(name: str) -> None:
        resolved[name] = _resolve(name)

    threads = [
        threading.Thread(target=resolve, args=(name,), daemon=True)  # getaddrinfo has no deadline
        for name in {*names.values(), NO_NAME}
    ]
    deadline = time.monotonic() + LOOK_UP_S
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if not resolved.get(NO_NAME):
        for host, name in names.items():
            found[host].update(resolved.get(name, []))
    return found


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "firewall_findings": firewall_findings,
            "firewall_sets": firewall_sets,
            "hub_sets": hub_sets,
            "address_of": address_of,
            "same_address_findings": same_address_findings,
            "one_machine_errors": one_machine_errors,
        }
