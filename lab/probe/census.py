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
    own_users: Mapping[str, str]
    """Agents with a token of their own, and the user that may read it."""

    @property
    def speakers(self) -> dict[str, list[str]]:
        """Agents by host, less those that only a user of their own speaks for."""
        return {
            host: [name for name in names if name not in self.own_users]
            for host, names in self.agents.items()
        }

    def user_of(self, agent: str) -> str:
        """Return the user that speaks for an agent, on the agent's host."""
        host = next(host for host, names in self.agents.items() if agent in names)
        return self.own_users.get(agent, self.users[host])


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
        own_users={a: u for entry in hosts.values() for a, u in entry["own_users"].items()},
        commanded=frozenset(a for entry in hosts.values() for a in entry["woken_otherwise"]),
    )
