"""Agents and releases come, are refused, and are taken back; nothing that was accepted is lost."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.fleet import checkout
from lab.probe.running import RunningFleet, until
from lab.traffic.pair import PairTraffic
from tests.support.patience import patience

if TYPE_CHECKING:
    from molecule.lifecycle.tests.conftest import Operator

VERSION = checkout.version()
GATE_S = round(patience(8))
QUICK = ("-e", f"message_bus_gate_s={GATE_S}", "-e", f"bus_watcher_gate_s={GATE_S}")
"""A release that never passes is given up soon; what it goes back to has to pass in that time."""
MIGRATION = "CREATE TABLE lifecycle_test (note TEXT NOT NULL) STRICT;\n"


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
        what=f"the whole fleet runs {version}",
    )


def kept_releases(running: RunningFleet, host: str, folder: str) -> int:
    """Return how many releases lie on a host."""
    return len(running.on(host, f"ls {folder}/releases").split())


def test_an_agent_is_added(running: RunningFleet, operator: Operator) -> None:
    since = {name: node["stream_since"] for name, node in running.streams().items()}
    operator.edit(cedar={"agents": ["bert", "bea"]})
    run = operator.follow(
        "add-an-agent", "site.yml --limit nuc-office", here={"nuc-office": "cedar"}
    )
    assert run.code == 0, run.text
    assert {host for host, count in run.changed.items() if count} == {"cedar"}
    assert running.homes()["bea"] == "cedar"
    now = {name: node["stream_since"] for name, node in running.streams().items()}
    assert {name for name in since if now[name] != since[name]} == {"cedar"}
    asked = operator.follow("add-an-agent", "playbooks/verify.yml")
    assert asked.code == 0, asked.text
    assert re.search(r"bea +cedar +online +yes", asked.text)


def test_an_upgrade_goes_in_batches_and_takes_a_moved_agent_along(
    running: RunningFleet, operator: Operator
) -> None:
    # alan cannot fetch on his old host what waits for him
    running.on("birch", "sudo systemctl stop openclaw-gateway-standin")
    waiting = running.send("ada", "alan", "before the move")
    operator.edit(birch={"agents": ["ada"]}, dogwood={"agents": ["cleo", "carl", "alan"]})
    new = checkout.copy(running.up.name, "0.2.0")
    run = operator.follow("upgrade", "site.yml", checkout=new)
    assert run.code == 0, run.text
    assert run.text.count("PLAY [Roll the nodes]") == 3
    all_run(running, "0.2.0")
    for host in running.nodes:  # the hub's last word to each stream was good-bye
        said = running.on(host, "sudo journalctl -u bus-watcher --output cat --no-pager")
        assert re.search(r'"reason": ?"shutdown"', said), said[-2000:]

    running.on("birch", "sudo systemctl start openclaw-gateway-standin")
    assert running.homes()["alan"] == "dogwood"
    until(
        lambda: running.is_fetched(waiting),
        what="alan has fetched on his new host what was sent to the old one",
    )


def test_a_broken_hub_goes_back_under_traffic_and_keeps_its_database(
    running: RunningFleet, operator: Operator
) -> None:
    broken = checkout.copy(running.up.name, "0.3.0")
    migrations = broken / "files" / "agent_bus" / "store" / "sqlite" / "file" / "migrations"
    number = int(max(path.name for path in migrations.glob("*.sql"))[:4]) + 1
    (migrations / f"{number:04d}_lifecycle.sql").write_text(MIGRATION)
    # it migrates, listens and is never ready
    checkout.change(
        broken / "files" / "agent_bus" / "api" / "health.py",
        r"ready = all\(.*\)\n",
        "ready = False\n",
    )
    epoch = running.api("/api/stats")["epoch"]
    before = versions(running)["hub"]
    sender, recipient = (running.who.agents[host][0] for host in running.nodes[:2])
    with PairTraffic(running, sender, recipient) as traffic:
        run = operator.play("site.yml", *QUICK, checkout=broken)
        traffic.flow()  # the release before takes messages again
    assert run.code != 0
    assert run.says("Backed up to /var/lib/agent-bus-hub/backups/")
    assert run.says(f"The bus runs again in {before}-")
    assert run.says(f"Migrated the database to schema {number}")  # the unit's last lines
    to_go_on = r"ansible-playbook (-i \S+ ){2,}site[.]yml -e agent_bus_retry_bad=true"
    assert re.search(to_go_on, run.text)
    all_run(running, before)
    assert running.api("/api/stats")["epoch"] == epoch
    traffic.all_arrive()

    again = operator.play("site.yml", *QUICK, "--tags", "hub", checkout=broken)
    assert again.code != 0
    assert again.says("is not tried again")
    assert again.says("agent_bus_retry_bad")
    assert versions(running)["hub"] == before


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
    run = operator.play("site.yml", *QUICK, "--tags", "nodes", checkout=broken)
    assert run.code != 0
    assert run.says("lifecycle: this release is broken")
    assert run.says("The watcher runs again in 0.2.0-")
    resume = re.search(r"site[.]yml --limit (\S+)", run.text)
    assert resume
    assert set(resume[1].split(",")) == set(running.nodes)
    all_run(running, "0.2.0")
    now = {name: node["stream_since"] for name, node in running.streams().items()}
    assert {name for name in running.nodes[1:] if now[name] != since[name]} == set()


def test_an_older_checkout_on_the_newer_schema_finishes_a_node_left_half_way(
    running: RunningFleet, operator: Operator
) -> None:
    host = running.nodes[0]
    older = versions(running)[host]
    dying = checkout.copy(running.up.name, VERSION)
    checkout.change(
        dying / "roles" / "bus_watcher" / "tasks" / "switch.yml",
        r"ansible.builtin.import_tasks: service.yml",
        "ansible.builtin.meta: end_play",
    )
    operator.roll_out("--limit", host, checkout=dying)  # all files are there, the old process runs
    assert versions(running)[host] == older
    operator.roll_out(*operator.at_once)
    all_run(running, VERSION)
    assert kept_releases(running, host, "/opt/agent-bus-client") <= 3
    assert kept_releases(running, running.who.hub, "/opt/agent-bus") <= 3


def test_an_operator_goes_back_a_release_and_insists_on_the_newer_one(
    running: RunningFleet, operator: Operator
) -> None:
    hub, first, *others = [running.who.hub, *running.nodes]
    for command in (
        "playbooks/rollback.yml --tags hub",
        "playbooks/rollback.yml --tags nodes --limit nuc-office",
    ):
        run = operator.follow("roll-back", command, here={"nuc-office": first})
        assert run.code == 0, run.text
    then = {**dict.fromkeys(others, VERSION), first: "0.2.0", "hub": "0.2.0"}
    until(
        lambda: versions(running) == then,
        what="hub and first node run the release before, the others the one that they had",
    )
    refused = operator.play("site.yml", "--tags", "hub")
    assert refused.code != 0
    assert refused.says("an operator went back from it) and is not tried again")

    # together with new settings for the hub, which concern no node
    run = operator.follow(
        "upgrade", "site.yml -e agent_bus_retry_bad=true", *operator.hub_settings
    )
    assert run.code == 0, run.text
    assert {host for host, count in run.changed.items() if count} == {hub, first}
    all_run(running, VERSION)
