"""Who is in the fleet, and what its hub is to everybody else: for playbooks and several roles."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

PORT, BIND = 8091, "0.0.0.0"  # noqa: S104 - the defaults of role message_bus, which a test compares
TLS_MODES = ("off", "fleet", "own")
EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
NOBODY = ["all", "!all"]
"""A pattern for `hosts:` that matches no host; the name of a missing group causes a warning."""


def secrets_dir(hub: str, hostvars: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the folder on the control node with the fleet's tokens and its authority.

    It lies beside the inventory that has the hub, unless the inventory says where it is.
    """
    own = hostvars[hub]
    if "agent_bus_secrets_dir" in own:
        return str(own["agent_bus_secrets_dir"])
    inventory = PurePath(str(own.get("inventory_dir") or ""))
    return f"{inventory.parent}/secrets/{inventory.name}"


def tls_mode(value: object) -> str:
    """Return the mode; YAML reads an `off` without quotes as false."""
    return "off" if value in {None, False, ""} else str(value).lower().replace("false", "off")


def hub_of(
    hub: str, hostvars: Mapping[str, Mapping[str, Any]], secrets: str = ""
) -> dict[str, Any]:
    """Return what the fleet has to know of its hub.

    Args:
        hub: its name in the inventory.
        hostvars: Ansible's own.
        secrets: the folder with the fleet's secrets, if it is another than `secrets_dir` says.

    Returns:
        `name`; `address`, by which the nodes reach it; `port`; `listens`, address and port as in
        the server's settings; `tls`, the mode; `more_names` for its certificate; `secrets`; the
        files `certificate`, `key` and `ca` on the control node, empty for none; `url`, by which
        the nodes reach the bus; `local_url`, by which the hub itself does, with TLS by the name in
        the certificate; `tls_url` and `plain_url`, the same with TLS and without it.

    Raises:
        AnsibleFilterError: there is no such mode of TLS.
    """
    own = hostvars[hub]
    mode = tls_mode(own.get("message_bus_tls"))
    if mode not in TLS_MODES:
        words = f"message_bus_tls of {hub} is {mode!r}: set it to off, fleet or own"
        raise AnsibleFilterError(words)
    address = str(own.get("bus_address", hub))
    port, bind = own.get("message_bus_port", PORT), str(own.get("message_bus_bind", BIND))
    tls_url, plain_url = f"https://{address}:{port}", f"http://{local_address(bind)}:{port}"
    folder = str(secrets or secrets_dir(hub, hostvars))
    return {
        "name": hub,
        "address": address,
        "port": port,
        "listens": f"{_bracketed(bind)}:{port}",
        "tls": mode,
        "more_names": list(own.get("message_bus_tls_names", [])),
        "secrets": folder,
        **_tls_files(mode, own, folder, _certificate_name(hub, own)),
        "url": f"http://{address}:{port}" if mode == "off" else tls_url,
        "local_url": plain_url if mode == "off" else tls_url,
        "tls_url": tls_url,
        "plain_url": plain_url,
    }


def hub_urls(
    hubs: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], secrets: str = ""
) -> list[str]:
    """Return the addresses by which the nodes reach the bus, one per hub, in the given order."""
    return [hub["url"] for hub in named_hubs(hubs, hostvars, secrets)]


def named_hubs(
    hubs: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], secrets: str = ""
) -> list[dict[str, str]]:
    """Return `name` and `url` of each hub, in the given order: setting `hubs` of the server."""
    return [{"name": hub, "url": str(hub_of(hub, hostvars, secrets)["url"])} for hub in hubs]


def _certificate_name(hub: str, own: Mapping[str, Any]) -> str:
    """Return the name of the hub's pair of files: each of several hubs has its own."""
    hubs = own.get("groups", {}).get("hub", [])
    return f"hub-{hub}" if len(hubs) > 1 else "hub"


def _tls_files(mode: str, own: Mapping[str, Any], secrets: str, name: str) -> dict[str, str]:
    if mode == "fleet":
        folder = f"{secrets}/tls"
        return {
            "certificate": f"{folder}/{name}.crt",
            "key": f"{folder}/{name}.key",
            "ca": f"{folder}/ca.crt",
        }
    kinds = ("certificate", "key", "ca")
    if mode == "off":
        return dict.fromkeys(kinds, "")
    return {kind: str(own.get(f"message_bus_tls_{kind}", "")) for kind in kinds}


def local_address(bind: object) -> str:
    """Return where a program that is bound to the address is reached on its own host.

    IPv6 comes in brackets, as URLs want it. What listens on every address listens on loopback.
    """
    word = str(bind).strip("[]")
    if word in EVERY_ADDRESS:
        return "127.0.0.1"
    return _bracketed(word)


def _bracketed(address: str) -> str:
    """Return an IPv6 address in brackets, as URLs and settings want it; others as they are."""
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


def nodes_with_agents(
    hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return the nodes that have agents, in the inventory's order: each has a watcher.

    While only a playbook's syntax is checked there are no hostvars yet, and so no such nodes.
    """
    known = (host for host in groups.get("nodes", []) if host in hostvars)
    return [host for host in known if hostvars[host].get("agents")]


def nodes_in(groups: Mapping[str, Sequence[str]], group: str) -> list[str]:
    """Return the nodes in a group, in the inventory's order; `group_by` makes groups in any."""
    return [host for host in groups.get("nodes", []) if host in groups.get(group, [])]


def or_nobody(hosts: Sequence[str]) -> Sequence[str]:
    """Return the hosts, or a pattern for `hosts:` that matches none."""
    return hosts or NOBODY


def token_paths(nodes: Iterable[str], secrets: str, kind: str) -> list[str]:
    """Return the file of each node's token, below the folder of the fleet's secrets.

    Args:
        nodes: names of nodes.
        secrets: that folder.
        kind: `nodes` for the tokens that the hub knows, `hooks` for those of the gateways.
    """
    return [f"{secrets}/{kind}/{node}.token" for node in nodes]


def secret_files(texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return entries for module host_files: files with one line that only their owner may read.

    Args:
        texts: what goes into each file, by its path.
    """
    return [
        {"path": path, "content": f"{text}\n", "mode": "0600", "secret": True}
        for path, text in texts.items()
    ]


def connected_nodes(answer: Mapping[str, Any], release: str) -> list[str]:
    """Return the nodes that the hub sees connected with a watcher of this release.

    Args:
        answer: what Ansible's uri got of the hub's /api/agents, also without an answer.
        release: name of the release.
    """
    said = answer.get("json")
    nodes = said.get("nodes", []) if isinstance(said, dict) else []
    return [
        str(node["node"])
        for node in nodes
        if node.get("connected") and node.get("watcher_version") == release
    ]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "secrets_dir": secrets_dir,
            "tls_mode": tls_mode,
            "hub_of": hub_of,
            "hub_urls": hub_urls,
            "named_hubs": named_hubs,
            "local_address": local_address,
            "nodes_with_agents": nodes_with_agents,
            "nodes_in": nodes_in,
            "or_nobody": or_nobody,
            "token_paths": token_paths,
            "secret_files": secret_files,
            "connected_nodes": connected_nodes,
        }
