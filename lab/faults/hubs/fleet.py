"""The fleet of several hubs under test: asked at any hub that answers, broken at any host."""

from __future__ import annotations

import contextlib
import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lab.engine.podman import podman, run
from lab.faults.hubs.books import Place, Stored, deliveries_of
from lab.fleet import standing
from lab.fleet.ssh import close_connections
from lab.paths import LabError, fleet_dir
from lab.probe.database import Database
from lab.probe.hub import LabHub

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab.probe.running import RunningFleet

PAGE = 500
UNITS = ("agent-bus", "agent-bus-database", "agent-bus-etcd", "bus-watcher")
NO_ANSWER = (OSError, http.client.HTTPException)
ETCDCTL = (
    "cd /etc/agent-bus-database && ETCDCTL_API=3 etcdctl"
    " --cacert=ca.crt --cert=member.crt --key=etcd/member.key"
)
SILENCE = ("INPUT -i eth0", "OUTPUT -o eth0")


class HubsFleet:
    """What the faults need of a running fleet."""

    def __init__(self, running: RunningFleet) -> None:
        self.running = running
        self.hubs = sorted(running.up.inventory.hub)
        self.database = Database(running, self.hubs)
        self.addresses = {spec.host: spec.address for spec in running.up.specs}
        port, ca = running.who.port, running.who.ca
        self.apis = {
            hub: LabHub(running.up.name, self.addresses[hub], port, ca=ca) for hub in self.hubs
        }
        self.urls = {hub: f"http://{self.addresses[hub]}:{port}" for hub in self.hubs}
        self._down: set[str] = set()
        self._buried: dict[str, list[str]] = {host: [] for host in running.up.inventory.hosts}
        self._store: dict[str, list[Stored]] = {}
        self._cursor = ""

    def places(self) -> list[Place]:
        """Return the nodes with their tokens."""
        tokens = fleet_dir(self.running.up.name) / "secrets" / "nodes"
        agents = self.running.who.agents
        return [Place(node, agents[node], tokens / f"{node}.token") for node in agents]

    def on(self, host: str, *commands: str) -> str:
        """Run commands on a host as root."""
        return self.running.on(host, "sudo sh", stdin="\n".join(["set -eu", *commands]))

    def container(self, host: str) -> str:
        """Return the name of a host's container."""
        return standing.spec_of(self.running.up, host).name

    def kill_hosts(self, *hosts: str) -> None:
        """Take the power of hosts away at the same moment: not even a FIN leaves them."""
        for host in hosts:
            with contextlib.suppress(LabError):  # it may not have booted yet
                self._buried[host] += self._own_journal(host)
        self._down |= set(hosts)
        close_connections(self.running.up.name)
        containers = [self.container(host) for host in hosts]
        for container in containers:
            for rule in SILENCE:
                _filter(container, "-I", rule)
        podman("kill", *containers)

    def start_hosts(self, *hosts: str) -> None:
        """Give it back."""
        containers = [self.container(host) for host in hosts]
        podman("start", *containers)
        for container in containers:  # podman may have kept its network
            for rule in SILENCE:
                _filter(container, "-D", rule, check=False)
        self._down -= set(hosts)

    def up(self) -> list[str]:
        """Return the hubs that have power."""
        return [hub for hub in self.hubs if hub not in self._down]

    def leader(self) -> str:
        """Return who has the primary; empty while nobody has."""
        for hub in self.up():
            if found := self.database.leader(asked=hub):
                return found
        return ""

    def ask(self, path: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the answer of the first hub that has one.

        Raises:
            OSError: no hub has one.
        """
        failure: Exception = OSError("there is no hub")
        for api in self.apis.values():
            try:
                return api.get(path)
            except NO_ANSWER as error:
                failure = error
        raise OSError(str(failure)) from failure

    def ails(self) -> str:
        """Return what is not as it should be at rest; empty when nothing is."""
        with ThreadPoolExecutor(max_workers=len(self.hubs)) as pool:
            for words in pool.map(self._ails, self.hubs):
                if words:
                    return words
        everybody = [name for names in self.running.who.agents.values() for name in names]
        try:
            agents = self.ask("/api/agents")["agents"]
            results = self.apis[self.hubs[0]].post("/api/probes", {"agents": everybody})["results"]
        except NO_ANSWER as error:
            return str(error)
        away = [f"{a['name']} is {a['status']}" for a in agents if a["status"] != "online"]
        away += [f"{one['agent']}: {one['reason']}" for one in results if not one["ok"]]
        if away:
            return ", ".join(away)
        if not self.database.is_whole(asked=self.hubs[0]):
            return "the database is not whole"
        with ThreadPoolExecutor(max_workers=len(self.hubs)) as pool:
            return next(filter(None, pool.map(self._etcd_ails, self.hubs)), "")

    def _etcd_ails(self, hub: str) -> str:
        try:
            self.on(
                hub, f"{ETCDCTL} --endpoints=https://{self.addresses[hub]}:2379 endpoint health"
            )
        except LabError as error:
            return str(error)
        return ""

    def _ails(self, hub: str) -> str:
        try:
            if not self.apis[hub].get("/readyz")["ready"]:
                return f"{hub} is not ready"
            nodes = self.apis[hub].get("/api/agents")["nodes"]
        except NO_ANSWER as error:
            return f"{hub}: {error}"
        away = [node["node"] for node in nodes if not node["connected"]]
        return f"{hub} does not see {', '.join(away)}" if away else ""

    def stored(self) -> list[Stored]:
        """Return all deliveries that the hubs store; pages that were full are not read again."""
        while True:
            page = self.ask(f"/api/history?order=asc&limit={PAGE}{self._cursor}")
            for message in page["messages"]:
                self._store[message["id"]] = deliveries_of([message])
            if page["next_cursor"] is None:
                break
            self._cursor = f"&cursor={page['next_cursor']}"
        found = [one for deliveries in self._store.values() for one in deliveries]
        return sorted(found, key=lambda one: one.seq)

    def unfetched(self) -> int:
        """Return how many messages no agent has fetched yet."""
        agents = self.ask("/api/agents")["agents"]
        return sum(agent["unfetched"] for agent in agents)

    def journal(self, host: str, since: float) -> list[str]:
        """Return the lines that the units of a host have logged since a time, over its deaths."""
        began = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        lines = [*self._buried[host], *self._own_journal(host)]
        return [line for line in lines if line >= began]

    def _own_journal(self, host: str) -> list[str]:
        """Return what a host has logged since its last boot: a container keeps no journal."""
        wanted = " ".join(f"-u {unit}" for unit in UNITS)
        command = f"TZ=UTC journalctl --no-pager -o short-iso-precise {wanted}"
        return self.on(host, command).splitlines()

    def save_logs(self, folder: Path, since: float) -> None:
        """Write what every host has logged since a time; a host that is down is left out."""
        folder.mkdir(parents=True, exist_ok=True)
        for host in self.running.up.inventory.hosts:
            with contextlib.suppress(LabError):
                lines = self.journal(host, since)
                (folder / f"{host}.log").write_text("\n".join(lines))
        members = self.database.members(asked=self.hubs[0])
        (folder / "members.txt").write_text(f"{time.time():.0f} {members}\n")

    def words_in_logs(self, words: Sequence[str], since: float) -> list[str]:
        """Return the lines of the databases' own logs that have one of these words."""
        found = []
        for hub in self.hubs:
            lines = self.journal(hub, since)
            found += [f"{hub}: {line}" for line in lines if any(word in line for word in words)]
        return found


def _filter(container: str, verb: str, rule: str, *, check: bool = True) -> None:
    """Add or delete a rule that drops packets of a container, from outside of it."""
    pid = podman("inspect", "--format={{.State.Pid}}", container).stdout.strip()
    enter = ["nsenter", f"--target={pid}", "--net"]
    run([*enter, "iptables", "-w", verb, *rule.split(), "-j", "DROP"], check=check)
