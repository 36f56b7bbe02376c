"""The database of several hubs, as Patroni on any of them tells it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.engine.podman import podman
from lab.fleet import standing
from lab.fleet.ssh import close_connections
from lab.paths import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.probe.running import RunningFleet

PSQL = "sudo runuser -u postgres -- psql -h /run/agent-bus-database -XAtc"


@dataclass(slots=True)
class Database:
    """Who is a member of the cluster, who leads it, and how it is broken."""

    running: RunningFleet
    hubs: Sequence[str]

    def members(self, *, asked: str) -> dict[str, dict[str, Any]]:
        """Return what a hub's Patroni says of each member; nothing while it does not answer."""
        try:
            said = self.running.on(asked, "sudo agent-bus-patronictl list --format json")
        except LabError:
            return {}
        return {entry["Member"]: entry for entry in json.loads(said or "[]")}

    def leader(self, *, asked: str) -> str:
        """Return who leads, as a hub sees it; empty without a leader that runs."""
        found = self.members(asked=asked)
        leads = [n for n, m in found.items() if m["Role"] == "Leader" and m["State"] == "running"]
        return leads[0] if leads else ""

    def is_whole(self, *, asked: str) -> bool:
        """Tell whether one member leads and all others follow it as quorum standbys."""
        found = self.members(asked=asked)
        roles = sorted(member["Role"] for member in found.values())
        states = [member["State"] for member in found.values()]
        standbys = ["Quorum Standby"] * (len(self.hubs) - 1)
        return roles == ["Leader", *standbys] and set(states) <= {"running", "streaming"}

    def others(self, host: str) -> list[str]:
        """Return the other hubs."""
        return [hub for hub in self.hubs if hub != host]

    def ask(self, host: str, sql: str) -> str:
        """Return what a hub's own PostgreSQL answers."""
        return self.running.on(host, f'{PSQL} "{sql}"').strip()

    def kill_host(self, host: str) -> None:
        """Take the power of a host away."""
        podman("kill", standing.spec_of(self.running.up, host).name)
        close_connections(self.running.up.name)

    def start_host(self, host: str) -> None:
        """Give it back."""
        podman("start", standing.spec_of(self.running.up, host).name)
