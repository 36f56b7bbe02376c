"""Releases come, are refused, and are taken back; nothing that was accepted is lost."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

from lab import checkout
from lab.running import RunningFleet, until

if TYPE_CHECKING:
    from conftest import Operator

QUICK = ("-e", "message_bus_gate_s=8", "-e", "bus_watcher_gate_s=8")
MIGRATION = "CREATE TABLE lifecycle_test (note TEXT NOT NULL) STRICT;\n"


class Traffic:
    """Messages from one agent to another of the fleet, while something happens to it."""

    def __init__(self, running: RunningFleet, sender: str, recipient: str, seconds: int) -> None:
        self._running = running
        self.accepted: list[str] = []
        host = next(h for h, names in running.who.agents.items() if sender in names)
        program = (
            "import json, subprocess, time\n"
            f"end = time.time() + {seconds}\n"
            "while time.time() < end:\n"
            f"    words = ['agent-bus', 'send', '--json', '--no-spool', '--as', '{sender}']\n"
            f"    words += ['--to', '{recipient}', 'meanwhile']\n"
            "    done = subprocess.run(words, capture_output=True, text=True)\n"
            "    if done.returncode == 0:\n"
            "        print(json.loads(done.stdout)['id'], flush=True)\n"
            "    time.sleep(0.1)\n"
        )
        self._thread = threading.Thread(target=self._write, args=(host, program))
        self._thread.start()

    def _write(self, host: str, program: str) -> None:
        self.accepted.extend(self._running.as_user(host, f'python3 -c "{program}"').split())

    def all_arrive(self) -> None:
        """Fail unless each message that was accepted reaches its agent."""
        self._thread.join()
        assert len(self.accepted) > 10
        until(
            lambda: all(
                self._running.api(f"/api/messages/{message}")["deliveries"][0]["fetched_at"]
                for message in self.accepted
            ),
            seconds=60,
            what="every accepted message has reached its agent",
        )


def versions(running: RunningFleet) -> dict[str, str]:
    """Return the version that each part of the fleet says it runs, without the hash."""
    found = {
        name: (node["watcher_version"] or "").split("-")[0]
        for name, node in running.streams().items()
        if node["connected"] and node["watcher_version"]  # told with its first presence
    }
    return {**found, "hub": running.api("/readyz")["version"].split("-")[0]}


def all_run(running: RunningFleet, version: str) -> None:
    """Wait until the hub and every watcher that it sees run a version."""
    until(
        lambda: versions(running) == dict.fromkeys([*running.nodes, "hub"], version),
        seconds=30,
        what=f"the whole fleet runs {version}",
    )


def test_an_upgrade_reaches_every_host_in_batches(
    running: RunningFleet, operator: Operator
) -> None:
    started = time.time()
    run = operator.roll_out(checkout=checkout.copy(running.up.name, "0.2.0"))
    took = time.time() - started
    print(f"upgrade of hub and three nodes: {took:.0f} s")
    assert run.text.count("PLAY [Roll the nodes]") == 3
    all_run(running, "0.2.0")


def test_a_broken_hub_goes_back_under_traffic_and_keeps_its_database(
    running: RunningFleet, operator: Operator
) -> None:
    broken = checkout.copy(running.up.name, "0.3.0")
    migrations = broken / "files" / "agent_bus" / "store" / "migrations"
    number = int(max(path.name for path in migrations.glob("*.sql"))[:4]) + 1
    (migrations / f"{number:04d}_lifecycle.sql").write_text(MIGRATION)
    # it migrates, listens and is never ready
    checkout.change(
        broken / "files" / "agent_bus" / "web" / "health.py",
        r"ready = all\(.*\)\n",
        "ready = False\n",
    )
    epoch = running.api("/api/stats")["epoch"]
    sender, recipient = (running.who.agents[host][0] for host in running.nodes[:2])
    traffic = Traffic(running, sender, recipient, seconds=25)
    run = operator.play("site.yml", *QUICK, checkout=broken)
    assert run.code != 0
    assert run.says("Backed up to /var/lib/agent-bus-hub/backups/")
    assert run.says("The bus runs again in 0.2.0-")
    assert run.says(f"Migrated the database to schema {number}")  # the unit's last lines
    all_run(running, "0.2.0")
    assert running.api("/api/stats")["epoch"] == epoch
    traffic.all_arrive()

    again = operator.play("site.yml", *QUICK, checkout=broken)
    assert again.code != 0
    assert again.says("is not tried again")
    assert again.says("agent_bus_retry_bad")
    assert versions(running)["hub"] == "0.2.0"


def test_a_broken_watcher_stops_the_rollout_at_the_first_node(
    running: RunningFleet, operator: Operator
) -> None:
    broken = checkout.copy(running.up.name, "0.4.0")
    checkout.change(
        broken / "files" / "agent_bus_client" / "watcher" / "__init__.py",
        r"(def main\(.*\n)",
        r'\1    raise SystemExit("lifecycle: this release is broken")\n',
    )
    since = {name: node["stream_since"] for name, node in running.streams().items()}
    hub = operator.play("site.yml", *QUICK, "--tags", "nodes", checkout=broken)
    first, *others = running.nodes
    assert hub.code != 0
    assert hub.says("lifecycle: this release is broken")
    assert hub.says("The watcher runs again in 0.2.0-")
    resume = re.search(r"site[.]yml --limit (\S+)", hub.text)
    assert resume
    assert set(resume[1].split(",")) == set(running.nodes)
    all_run(running, "0.2.0")
    now = {name: node["stream_since"] for name, node in running.streams().items()}
    assert {name for name in others if now[name] != since[name]} == set()
    good = checkout.copy(running.up.name, "0.2.0")
    assert operator.roll_out("--limit", first, checkout=good).changed[first] == 0


def test_an_older_checkout_is_rolled_out_on_the_newer_schema(
    running: RunningFleet, operator: Operator
) -> None:
    operator.roll_out()
    assert set(versions(running).values()) & {"0.2.0"} == set()
    assert len(set(versions(running).values())) == 1


def test_an_operator_goes_back_a_release(running: RunningFleet, operator: Operator) -> None:
    then, first = versions(running), running.nodes[0]
    run = operator.play("playbooks/rollback.yml", "--limit", f"{running.who.hub},{first}")
    assert run.code == 0, run.text
    until(
        lambda: versions(running) == {**then, first: "0.2.0", "hub": "0.2.0"},
        seconds=30,
        what="hub and first node run the release before, the others the one that they had",
    )
    refused = operator.play("site.yml")
    assert refused.code != 0
    assert refused.says("an operator went back from it) and is not tried again")
    operator.roll_out("-e", "agent_bus_retry_bad=true")
    assert versions(running) == then


def test_a_node_that_was_left_half_way_is_finished_by_the_next_run(
    running: RunningFleet, operator: Operator
) -> None:
    host = running.nodes[0]
    since = running.streams()[host]["stream_since"]
    dying = checkout.copy(running.up.name, "0.1.0")
    checkout.change(
        dying / "roles" / "bus_watcher" / "tasks" / "switch.yml",
        r"ansible.builtin.import_tasks: service.yml",
        "ansible.builtin.meta: end_play",
    )
    words = ("--limit", host, "-e", '{"bus_watcher_settings": {"stagger_s": 0.5}}')
    operator.roll_out(*words, checkout=dying)  # new settings, the old process
    assert running.streams()[host]["stream_since"] == since
    assert operator.roll_out(*words).changed[host] > 0
    assert running.streams()[host]["stream_since"] != since
    operator.roll_out("--limit", host)


def test_a_change_of_the_hub_alone_restarts_no_watcher(
    running: RunningFleet, operator: Operator
) -> None:
    run = operator.roll_out("-e", '{"message_bus_settings": {"keepalive_s": 14}}')
    assert {host for host, count in run.changed.items() if count} == {running.who.hub}
    assert "no hosts matched" in run.text.split("PLAY [Roll the nodes]")[1]
    operator.roll_out()
