"""A running fleet as tests ask it: its hosts by ssh, its hub by the API."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lab.fleet import making, standing
from lab.fleet.ssh import ssh_command
from lab.paths import LabError
from lab.probe.census import census_of
from lab.probe.hub import LabHub
from tests.support.patience import DEADLINE_S, patience

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


CURL = "curl --noproxy '*' -sS"
"""Asks a host's own services, whatever proxy its environment names."""

LOOK_S = 0.2


class RunningFleet:
    """The fleet as an operator sees it: its hosts by ssh, its hub by the API."""

    def __init__(self, name: str) -> None:
        self._become(standing.recall(name))

    def _become(self, up: standing.Fleet) -> None:
        self.up = up
        self.who = census_of(up.name)
        hub = standing.spec_of(up, self.who.hub)
        self._hub = LabHub(up.name, hub.address, self.who.port, ca=self.who.ca)

    def remake(self, sources: Sequence[Path]) -> None:
        """Make the fleet what another inventory says; unchanged hosts go on running."""
        self._become(making.up(self.up.name, sources))

    @property
    def nodes(self) -> list[str]:
        """The hosts with agents."""
        return list(self.who.agents)

    def on(self, host: str, command: str, *, stdin: str = "") -> str:
        """Run a command on a host and return what it printed.

        Raises:
            LabError: it failed; the message has its last lines.
        """
        done = subprocess.run(
            [*ssh_command(standing.spec_of(self.up, host)), command],
            capture_output=True,
            text=True,
            check=False,
            input=stdin,
        )
        if done.returncode:
            words = f"{command!r} on {host} ended with {done.returncode}"
            raise LabError(f"{words}: {(done.stderr or done.stdout)[-2000:]}")
        return done.stdout

    def on_nodes(self, command: str) -> Mapping[str, str]:
        """Run a command on every host with agents and return what each printed."""
        with ThreadPoolExecutor(max_workers=len(self.nodes)) as pool:
            answers = pool.map(lambda host: self.on(host, command), self.nodes)
            return dict(zip(self.nodes, answers, strict=True))

    def properties(self, unit: str, *names: str, host: str) -> dict[str, str]:
        """Return properties of a unit by `systemctl show`."""
        wanted = ",".join(names)
        lines = self.on(host, f"systemctl show {unit} --property={wanted}").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def as_user(self, host: str, command: str) -> str:
        """Run a command as the user that runs OpenClaw there."""
        return self.on(host, f"sudo runuser -u {self.who.users[host]} -- {command}")

    def wakes(self, host: str, since: float) -> list[dict[str, Any]]:
        """Return the wakes that a host's gateway stand-in took since a time."""
        answer = json.loads(self.on(host, f"{CURL} {self.who.gateways[host]}/standin/wakes"))
        return [wake for wake in answer["wakes"] if wake["at"] >= since]

    def api(self, path: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the hub's answer to a GET with the admin's token."""
        return self._hub.get(path)

    def metrics(self) -> str:
        """Return the hub's figures as Prometheus would scrape them."""
        return self._hub.metrics()

    def page(self) -> str:
        """Return the dashboard's first page."""
        return self._hub.page()

    def probe(self, agents: Sequence[str]) -> list[dict[str, Any]]:
        """Return whether each agent could be woken; wakes nobody."""
        results: list[dict[str, Any]] = self._hub.post("/api/probes", {"agents": list(agents)})[
            "results"
        ]
        return results

    def streams(self) -> dict[str, dict[str, Any]]:
        """Return what the hub says about each node."""
        return {node["node"]: node for node in self.api("/api/agents")["nodes"]}

    def connected(self) -> set[str]:
        """Return the nodes whose watcher the hub sees."""
        return {name for name, node in self.streams().items() if node["connected"]}

    def homes(self) -> dict[str, str]:
        """Return where the hub has each agent."""
        return {a["name"]: a["node"] for a in self.api("/api/agents")["agents"] if a["node"]}

    def send(self, sender: str, recipient: str, text: str) -> str:
        """Send a message on the sender's host, as its agent would, and return its id."""
        words = f"agent-bus send --json --no-spool --as {sender} --to {recipient} '{text}'"
        command = f"sudo runuser -u {self.who.user_of(sender)} -- {words}"
        return str(json.loads(self.on(self.homes()[sender], command))["id"])

    def is_fetched(self, message: str) -> bool:
        """Tell whether each recipient of a message has fetched it."""
        deliveries = self.api(f"/api/messages/{message}")["deliveries"]
        return all(delivery["fetched_at"] for delivery in deliveries)


def until(condition: Callable[[], Any], *, what: str, seconds: float = DEADLINE_S) -> None:
    """Wait for a condition, which may cost a call to a host.

    Fails after this many seconds, or more on a slow machine; only so that it ends.
    """
    allowed_s = patience(seconds)
    deadline = time.monotonic() + allowed_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {allowed_s:.0f} s: {what}"
        time.sleep(LOOK_S)
