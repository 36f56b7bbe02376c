"""Who lives where in a running fleet, as lab/prepare.yml has noted it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.paths import fleet_dir

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Census:
    """Who lives where, as the inventory says, evaluated by Ansible."""

    hub: str
    port: int
    ca: str
    """File with the CA of the hub's certificate; empty without TLS."""
    agents: Mapping[str, Sequence[str]]
    """Agents by host."""
    users: Mapping[str, str]
    gateways: Mapping[str, str]
    commanded: frozenset[str]
    """Agents that are woken by a command, or by a turn of a runtime of their own."""


def census_of(fleet: str) -> Census:
    """Return who lives where in a running fleet."""
    noted = json.loads((fleet_dir(fleet) / "residents.json").read_text())
    hosts: dict[str, dict[str, Any]] = noted["hosts"]
    return Census(
        hub=noted["hub"],
        port=int(noted["port"]),
        ca=noted["ca"],
        agents={host: entry["agents"] for host, entry in hosts.items()},
        users={host: entry["user"] for host, entry in hosts.items()},
        gateways={host: entry["gateway"] for host, entry in hosts.items()},
        commanded=frozenset(a for entry in hosts.values() for a in entry["woken_otherwise"]),
    )
