"""What happens to a running fleet: processes die, the hub restarts, the inventory changes."""

from __future__ import annotations

import re
import subprocess
import time

import yaml

from lab.fleet import making, plays, standing
from lab.paths import ROOT, fleet_dir
from lab.probe import rollcall
from lab.probe.running import RunningFleet, until
from lab.traffic.pair import PairTraffic

SITE = ROOT / "site.yml"


MOST_TASKS_OF_A_NODE = 10
"""Of a rollout that changes nothing: three calls to the host, the rest is the control node's."""


def roll_out(up: standing.Fleet, *arguments: str) -> dict[str, int]:
    """Run site.yml; return how many tasks changed each host."""
    return {host: changed for host, (_, changed) in recap(up, *arguments).items()}


def recap(up: standing.Fleet, *arguments: str) -> dict[str, tuple[int, int]]:
    """Run site.yml; return how many tasks each host did, and how many of them changed it."""
    command = plays.playbook_command(up, SITE, arguments)
    plain = plays.readable_environment()
    done = subprocess.run(command, env=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)", done.stdout, re.MULTILINE)
    assert found, done.stdout
    return {host: (int(tasks), int(changed)) for host, tasks, changed in found}


def test_a_killed_watcher_is_back_by_itself_and_wakes(running: RunningFleet) -> None:
    host, other = running.nodes[1], running.nodes[2]
    agent, sender = running.who.agents[host][0], running.who.agents[other][0]
    before = running.properties("bus-watcher", "MainPID", "NRestarts", host=host)
    killed = time.time()
    running.on(host, "sudo systemctl kill --signal=SIGKILL --kill-whom=main bus-watcher")
    running.as_user(other, f"agent-bus send --as {sender} --to {agent} 'meanwhile'")
    until(
        lambda: any(w["agent"] == agent for w in running.wakes(host, killed)),
        what=f"{agent} is woken for what came while its watcher was dead",
    )
    after = running.properties("bus-watcher", "MainPID", "NRestarts", "ActiveState", host=host)
    assert after["ActiveState"] == "active"
    assert after["MainPID"] != before["MainPID"]
    assert int(after["NRestarts"]) == int(before["NRestarts"]) + 1


def test_a_hub_restarted_under_traffic_loses_nothing(running: RunningFleet) -> None:
    sender, recipient = (running.who.agents[running.nodes[number]][0] for number in (3, 4))
    with PairTraffic(running, sender, recipient) as traffic:
        running.on(running.who.hub, "sudo systemctl restart agent-bus")
        traffic.flow()
    until(
        lambda: all(node["connected"] for node in running.streams().values()),
        what="all watchers are back",
    )
    for message in traffic.accepted:
        delivery = running.api(f"/api/messages/{message}")["deliveries"][0]
        assert delivery["agent"] == recipient
    traffic.all_arrive()


def test_a_limited_run_touches_one_host_only(running: RunningFleet) -> None:
    host = running.nodes[5]
    changed = roll_out(running.up, "--limit", host)
    assert changed == {host: 0}


def test_a_release_that_was_only_unpacked_is_completed(running: RunningFleet) -> None:
    """A rollout that was cut off between the two leaves a host like this.

    It stands in `make lifecycle`.
    """
    host = running.nodes[-1]
    home = "/opt/agent-bus-client"
    running.on(host, f"cd {home} && sudo rm -r APPLIED current/INSTALLED current/*/__pycache__")
    assert roll_out(running.up, "--limit", host)[host] > 0
    running.on(host, f"ls {home}/APPLIED {home}/current/INSTALLED {home}/current/*/__pycache__")
    assert running.streams()[host]["connected"]


def test_a_check_run_on_the_running_fleet_finds_nothing_by_few_tasks(
    running: RunningFleet,
) -> None:
    done = recap(running.up, "--check", "--diff")
    assert {changed for _, changed in done.values()} == {0}
    nodes = {host: tasks for host, (tasks, _) in done.items() if host != running.who.hub}
    assert max(nodes.values()) <= MOST_TASKS_OF_A_NODE, nodes


def test_a_twentieth_agent_restarts_only_its_own_watcher(running: RunningFleet) -> None:
    host = running.nodes[6]
    extra = fleet_dir(running.up.name) / "extra"
    (extra / "host_vars").mkdir(parents=True, exist_ok=True)
    (extra / "hosts.yml").write_text("---\nall: {}\n")
    names = [*running.who.agents[host], "newcomer"]
    (extra / "host_vars" / f"{host}.yml").write_text(yaml.safe_dump({"agents": names}))
    streams = running.streams()

    up = making.up(running.up.name, [*dict.fromkeys([*running.up.sources, extra])])
    changed = roll_out(up)

    # the first host of the play reports the change of the roster: the hub
    assert {h for h, count in changed.items() if count} == {host, running.who.hub}
    after = RunningFleet(running.up.name)
    now = after.streams()
    assert all(node["connected"] for node in now.values())
    since = {name: node["stream_since"] for name, node in now.items()}
    before = {name: node["stream_since"] for name, node in streams.items()}
    assert {name for name in now if since[name] != before[name]} == {host}
    assert "newcomer" in now[host]["agents"]
    outcomes = {o.letter.recipient: o for o in rollcall.call(up)}
    assert len(outcomes) == 20
    assert outcomes["newcomer"].trouble == ""
