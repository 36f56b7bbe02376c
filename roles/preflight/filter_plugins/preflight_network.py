"""Check what stands between machines: TLS, the rule that guards the port, names of one machine.

Reads what Ansible knows, files on the control node and its name resolution; contacts no host. What
it finds has the form of preflight_values.py's findings.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cryptography import x509

FILES = {
    "certificate": "message_bus_tls_certificate",
    "key": "message_bus_tls_key",
    "ca": "message_bus_tls_ca",
}
EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
LOOK_UP_S = 3.0
"""For all names together; what has no address by then is left to the check on the hosts."""
NO_NAME = "agent-bus-preflight.invalid"
"""Resolves only where name servers answer for every name (RFC 6761); they prove nothing there."""
SSH = ("ssh", "smart", "paramiko", "paramiko_ssh")
OTHER_WAYS = ("ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args")
"""Through different jump hosts one address may be two machines."""
Finding = dict[str, Any]


def tls_mode(value: object) -> str:
    """Return the mode; YAML reads an `off` without quotes as false."""
    return "off" if value in {None, False, ""} else str(value).lower()


def tls_findings(
    variables: Mapping[str, Any], *, hub: str, texts: Mapping[str, str]
) -> list[Finding]:
    """Return what is wrong with the operator's own certificate.

    Args:
        variables: the hub's.
        hub: its name in the inventory.
        texts: what the files `certificate`, `key` and `ca` hold; empty for one that is not there.
    """
    if tls_mode(variables.get("message_bus_tls")) != "own":
        return []
    missing = []
    for kind, name in FILES.items():
        path = variables.get(name) or ""
        if not path and kind != "ca":
            says = f"message_bus_tls is own and needs {name}, a file on this machine"
            missing.append({"keys": ["message_bus_tls"], "says": says})
        elif path and not texts.get(kind):
            says = f"{name}: {path} cannot be read on this machine"
            missing.append({"keys": [name], "says": says})
    if missing:
        return missing
    address = str(variables.get("bus_address") or hub)
    found = certificate_errors(texts, address, now=datetime.now(UTC))
    return [{"keys": [FILES["certificate"]], "says": says} for says in found]


def certificate_errors(texts: Mapping[str, str], address: str, *, now: datetime) -> list[str]:
    """Return what is wrong with a certificate, its key and the authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        chain = x509.load_pem_x509_certificates(texts["certificate"].encode())
    except ValueError as error:
        return [f"the certificate cannot be read as PEM: {error}"]
    leaf = chain[0]
    errors = list(_validity(leaf, address, now))
    try:
        key = serialization.load_pem_private_key(texts["key"].encode(), password=None)
    except (TypeError, ValueError):
        errors.append(
            "the key cannot be read as PEM without a password; encrypt it by Ansible Vault instead"
        )
    else:
        if key.public_key() != leaf.public_key():
            errors.append("the key is not the one of the certificate; is the file another's?")
    if texts.get("ca"):
        errors.extend(_signed(chain, texts["ca"]))
    return errors


def _validity(leaf: x509.Certificate, address: str, now: datetime) -> Iterator[str]:
    from cryptography import x509

    end, start = leaf.not_valid_after_utc, leaf.not_valid_before_utc
    if end <= now:
        yield f"the certificate has expired on {end:%Y-%m-%d}; put a new one there"
    if start > now:
        yield f"the certificate is not valid before {start:%Y-%m-%d %H:%M} UTC"
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        yield f"the certificate has no subjectAltName; clients want {address} there"
        return
    names = extension.value.get_values_for_type(x509.DNSName)
    addresses = [str(one) for one in extension.value.get_values_for_type(x509.IPAddress)]
    if not any(_covers(name, address) for name in names) and address not in addresses:
        yield (
            f"the certificate is for {', '.join([*names, *addresses])}, not for {address}, by "
            "which the nodes reach the hub; set the hub's bus_address to one of these, or get "
            "another certificate"
        )


def _covers(pattern: str, name: str) -> bool:
    """Tell whether a DNS name, or its `*.` in place of the first label, is this name."""
    pattern, name = pattern.lower(), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    return pattern == name


def _signed(chain: Sequence[x509.Certificate], ca_text: str) -> Iterator[str]:
    """Follow the chain up to one of the authorities."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        anchors = x509.load_pem_x509_certificates(ca_text.encode())
    except ValueError as error:
        yield f"message_bus_tls_ca cannot be read as PEM: {error}"
        return
    for one in chain:
        if one in anchors:
            return
        for anchor in anchors:
            try:
                one.verify_directly_issued_by(anchor)
            except (InvalidSignature, TypeError, ValueError):
                continue
            return
    yield "the certificate is not signed by message_bus_tls_ca; is it another authority's file?"


def local_address(bind: object) -> str:
    """Return where a program that is bound to the address is reached on its own host.

    IPv6 comes in brackets, as URLs want it. What listens on every address listens on loopback.
    """
    word = str(bind).strip("[]")
    if word in EVERY_ADDRESS:
        return "127.0.0.1"
    return f"[{word}]" if ":" in word else word


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
    variables: Mapping[str, Any], *, hosts: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Return what keeps the rule for the port from being written.

    Args:
        variables: the hub's.
        hosts: the variables of every host that has agents.
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
    return found


def firewall_sets(
    variables: Mapping[str, Any], hosts: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Return the sets `ipv4` and `ipv6` of what may reach the port, without overlaps."""
    listed = variables.get("message_bus_firewall_fleet") or [
        address for addresses in fleet_addresses(hosts).values() for address in addresses
    ]
    allowed = [*listed, *(variables.get("message_bus_firewall_allow") or [])]
    networks = [ipaddress.ip_network(str(entry), strict=False) for entry in allowed]
    four = [one for one in networks if isinstance(one, ipaddress.IPv4Network)]
    six = [one for one in networks if isinstance(one, ipaddress.IPv6Network)]
    return {
        "ipv4": [str(one) for one in ipaddress.collapse_addresses(four)],
        "ipv6": [str(one) for one in ipaddress.collapse_addresses(six)],
    }


def address_of(variables: Mapping[str, Any], host: str) -> str:
    """Return the name or address at which Ansible reaches a host, without brackets and zone.

    `ansible_ssh_host` is the older word for `ansible_host`, and still wins.
    """
    given = variables.get("ansible_ssh_host") or variables.get("ansible_host") or host
    return str(given).strip().strip("[]").partition("%")[0]


def same_address_findings(
    hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """Return a finding for each two hosts that Ansible reaches in the very same way."""
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
            "tls_mode": tls_mode,
            "tls_findings": tls_findings,
            "local_address": local_address,
            "firewall_findings": firewall_findings,
            "firewall_sets": firewall_sets,
            "address_of": address_of,
            "same_address_findings": same_address_findings,
            "one_machine_errors": one_machine_errors,
        }
