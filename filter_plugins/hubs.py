"""The hubs of a fleet, one or several, and whose database they have: for playbooks and roles."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

POSTGRES_PORT, PATRONI_PORT, ETCD_PORT, ETCD_PEER_PORT = 5432, 8008, 2379, 2380
ETCD_METRICS_PORT = 2381
"""The defaults of role bus_database, which a test compares."""


def database_of(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return what the bus keeps its messages in.

    `sqlite` on the only hub, `fleet` for the PostgreSQL of several hubs that the fleet runs
    itself, `own` for a PostgreSQL that somebody else runs.
    """
    hubs = groups.get("hub", [])
    if any(hostvars[hub].get("message_bus_database") for hub in hubs if hub in hostvars):
        return "own"
    return "fleet" if len(hubs) > 1 else "sqlite"


def runs_on(answer: Mapping[str, Any]) -> str:
    """Return what a hub keeps its messages in as it is: `sqlite`, `postgresql`, or nothing.

    Args:
        answer: what `cat` got of its /etc/agent-bus/hub.json, also if that failed.
    """
    try:
        settings = json.loads(answer.get("stdout") or "")
    except ValueError:
        return ""
    return _kind(settings)


def _kind(settings: Mapping[str, Any]) -> str:
    database = str(settings.get("database") or "")
    if not database:
        return ""
    return "sqlite" if database.startswith("/") else "postgresql"


def moved_since(answer: Mapping[str, Any], current: str) -> bool:
    """Tell whether the release before ran on another kind of database than the current one.

    Args:
        answer: what Ansible's slurp got of the hub's memory of its good releases.
        current: the release that runs.
    """
    memory = json.loads(base64.b64decode(answer.get("content") or "e30="))
    kinds: dict[bool, str] = {}
    for entry in memory.get("good", []):
        texts = {file["path"]: file["text"] for file in entry["files"]}
        found = _kind(json.loads(texts.get("/etc/agent-bus/hub.json", "{}")))
        kinds[entry["release"] == current] = found  # the newest of each
    return len(set(kinds.values())) > 1


def hubs_with_database(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return the hubs on which the fleet runs a PostgreSQL of its own; none for other databases.

    While only a playbook's syntax is checked there are no hostvars yet.
    """
    known = [hub for hub in groups.get("hub", []) if hub in hostvars]
    return known if database_of(groups, hostvars) == "fleet" else []


def members_of(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return the address by which the hubs reach each other, by their names."""
    return {hub: str(hostvars[hub].get("bus_address", hub)) for hub in groups.get("hub", [])}


def hub_names(hub: Mapping[str, Any], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names and addresses for a hub's certificate.

    Args:
        hub: what `hub_of` says.
        hostvars: Ansible's own.
    """
    own = hostvars[hub["name"]]
    reached = str(own.get("ansible_ssh_host") or own.get("ansible_host") or hub["name"])
    plain = reached.strip().strip("[]").partition("%")[0]
    here = ["localhost", "127.0.0.1", "::1"]
    return list(dict.fromkeys([hub["address"], hub["name"], plain, *here, *hub["more_names"]]))


def password_paths(accounts: Sequence[str], secrets: str) -> list[str]:
    """Return the file of each account's password, below the folder of the fleet's secrets."""
    return [f"{secrets}/database/{account}.password" for account in accounts]


def member_urls(members: Mapping[str, str], port: int) -> dict[str, str]:
    """Return each member's URL with this port."""
    return {name: f"https://{address}:{port}" for name, address in members.items()}


def hubs_left(
    groups: Mapping[str, Sequence[str]], everyone: Sequence[str], there: Sequence[str]
) -> list[str]:
    """Return the hubs that have not dropped out of this run.

    Args:
        groups: Ansible's own.
        everyone: `ansible_play_hosts_all`.
        there: `ansible_play_hosts`.
    """
    lost = set(everyone) - set(there)
    return [hub for hub in groups.get("hub", []) if hub not in lost]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "database_of": database_of,
            "runs_on": runs_on,
            "moved_since": moved_since,
            "hubs_with_database": hubs_with_database,
            "members_of": members_of,
            "hub_names": hub_names,
            "password_paths": password_paths,
            "member_urls": member_urls,
            "hubs_left": hubs_left,
        }
