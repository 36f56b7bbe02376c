"""Judge what hubs and Patroni say of the database's cluster."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

RUNNING = ("running", "streaming")
LEADING = ("primary", "master")
"""What Patroni calls the member that takes writes, in this version and in older ones."""


def database_host_errors(host: Mapping[str, Any]) -> list[str]:
    """Return why this host cannot have a member of the database's cluster.

    Args:
        host: what look_at_database_host.py says of it.
    """
    wrong = []
    if host["clusters"]:
        wrong.append(
            f"it has a PostgreSQL of its own ({', '.join(host['clusters'])}), which systemd would "
            "no longer start; choose another hub, move that database, or use it for the bus "
            "(message_bus_database)"
        )
    if host["foreign_etcd"]:
        wrong.append(
            "it runs an etcd of its own (etcd.service), which the bus would displace; choose "
            "another hub"
        )
    if not (host["new_enough"] and host["venv"]):
        wrong.append(
            f"its Python is {host['python']}, {'with' if host['venv'] else 'without'} the module "
            "venv; Patroni needs 3.11 or newer with it (apt install python3-venv)"
        )
    return wrong


def newest_major(found: Mapping[str, Any]) -> int:
    """Return the newest major of PostgreSQL whose server is there; 0 without one.

    Args:
        found: what Ansible's find got of the servers, /usr/lib/postgresql/MAJOR/bin/postgres.
    """
    paths = (PurePath(file["path"]) for file in found.get("files", []))
    return max((int(path.parts[-3]) for path in paths), default=0)


def is_in_place(cluster: Mapping[str, Any], name: str, majority: int) -> bool:
    """Tell whether a member runs in a cluster that takes writes.

    Args:
        cluster: the answer of Patroni's /cluster.
        name: the member.
        majority: how many members have to run.
    """
    running = [one for one in cluster.get("members", []) if one.get("state") in RUNNING]
    leads = any(one.get("role") == "leader" for one in running)
    return leads and len(running) >= majority and name in {one["name"] for one in running}


def follows(cluster: Mapping[str, Any], name: str) -> bool:
    """Tell whether another member leads, and this one streams from it.

    Args:
        cluster: the answer of Patroni's /cluster.
        name: the member.
    """
    states = {one["name"]: one.get("state") for one in cluster.get("members", [])}
    leads = {one["name"] for one in cluster.get("members", []) if one.get("role") == "leader"}
    return states.get(name) == "streaming" and bool(leads - {name})


def restart_order(answers: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the members whose PostgreSQL has to be restarted, the primary last.

    `heir` is the standby that a primary hands over to; it is empty for all others.

    Args:
        answers: what Ansible's uri got of each member's /patroni, also if that failed.
    """
    said = {name: answer.get("json") or {} for name, answer in answers.items()}
    primaries = {name for name, one in said.items() if one.get("role") in LEADING}
    standbys = [n for n, one in said.items() if n not in primaries and one.get("state") in RUNNING]
    pending = [name for name, one in said.items() if one.get("pending_restart")]
    heir = standbys[0] if standbys else ""
    return [
        {"name": name, "heir": heir if name in primaries else ""}
        for name in sorted(pending, key=lambda name: name in primaries)
    ]


def absent_entries(paths: Sequence[str]) -> list[dict[str, str]]:
    """Return entries for module host_files that remove these."""
    return [{"path": path, "state": "absent"} for path in paths]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "database_host_errors": database_host_errors,
            "newest_major": newest_major,
            "is_in_place": is_in_place,
            "follows": follows,
            "restart_order": restart_order,
            "absent_entries": absent_entries,
        }
