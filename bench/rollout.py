"""How long a rollout of the reference fleet takes in the lab: the first, and one without changes.

Run by `make bench-rollout` from the project's root. For comparison, on the same hosts: the same
playbook with Ansible's default settings, and as many files as a plain role would have, with one
call of a core module each. With `--hosts` it is a fleet of that many hosts with two agents each,
without the comparison. It prints a table and writes .cache/bench-rollout.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.fleet import making, plays, standing
from lab.paths import ROOT

OUT = ROOT / ".cache" / "bench-rollout.json"
AS_BY_DEFAULT = ("--forks=5", "--extra-vars", '{"ansible_ssh_pipelining": false}')


@dataclass
class Play:
    """A play of a run; `calls` counts the tasks that a host was asked to do."""

    name: str
    seconds: float
    tasks: dict[str, float] = field(default_factory=dict)
    calls: int = 0


@dataclass
class Run:
    """One run of a playbook."""

    name: str
    seconds: float
    cpu_seconds: float
    largest_mb: float
    """Resident memory of the largest process of Ansible; its forks share most of it."""
    plays: list[Play]
    most_tasks_of_a_host: int
    changed: int


def read_plays(report: dict[str, Any]) -> list[Play]:
    """Return the plays in what callback_plugins/times.py tells."""
    plays = []
    for entry in report["plays"]:
        play = Play(entry["name"], entry["seconds"])
        for task in entry["tasks"]:
            play.tasks[task["name"]] = play.tasks.get(task["name"], 0.0) + task["seconds"]
            play.calls += len(task["hosts"])
        plays.append(play)
    return plays


def most_tasks(report: dict[str, Any], *, without: set[str]) -> int:
    """Return how many tasks the busiest host did, apart from the hub."""
    return max(int(s["ok"]) for host, s in report["stats"].items() if host not in without)


def run(up: standing.Fleet, name: str, playbook: Path, *arguments: str) -> Run:
    """Run a playbook over the fleet and measure it.

    Raises:
        SystemExit: it failed; its output is printed.
    """
    environment = {
        **plays.environment(),
        "ANSIBLE_STDOUT_CALLBACK": "times",
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "bench" / "callback_plugins"),
    }
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        command = plays.playbook_command(up, playbook, arguments)
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = time.monotonic() - started
        out.seek(0)
        said = out.read()
    if process.returncode != 0:
        raise SystemExit(f"{playbook} failed:\n{said[-5000:]}")
    report, _ = json.JSONDecoder().raw_decode(said[said.index('{"plays"') :])
    cpu, largest = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    hub = set(up.inventory.hub)
    changed = sum(stats["changed"] for stats in report["stats"].values())
    return Run(
        name, took, cpu, largest, read_plays(report), most_tasks(report, without=hub), changed
    )


def fleet_of(count: int) -> Path:
    """Return an inventory of that many hosts, one of them the hub, with two agents each."""
    hosts = {
        f"node-{n:03}": {"agents": [f"agent-{n:03}a", f"agent-{n:03}b"]} for n in range(count)
    }
    folder = ROOT / ".cache" / "bench" / f"fleet-of-{count}"
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({"hub": {"hosts": {"node-000": {}}}, "nodes": {"hosts": hosts}})
    (folder / "hosts.yml").write_text(text, encoding="utf-8")
    return folder


def measure(name: str, sources: list[Path], *, compare: bool) -> list[Run]:
    """Measure on a fleet made for it, which is removed again."""
    site, plain = ROOT / "site.yml", ROOT / "bench" / "rollout_plain.yml"
    making.down(name)
    up = making.up(name, sources)
    try:
        runs = [run(up, "first rollout", site), run(up, "again, nothing to change", site)]
        if not compare:
            return runs
        return [
            *runs,
            run(up, "again, Ansible as by default", site, *AS_BY_DEFAULT),
            run(up, "baseline: plain tasks, first", plain, *AS_BY_DEFAULT),
            run(up, "baseline: plain tasks, again", plain, *AS_BY_DEFAULT),
        ]
    finally:
        making.down(name)


def table(runs: list[Run]) -> str:
    """Return the runs, then the plays of the first two with their slowest tasks."""
    head = f"{'RUN':32} {'SECONDS':>8} {'CPU S':>7} {'MB':>5} {'CALLS':>6} {'TASKS PER NODE':>14}"
    lines = [f"{head} {'CHANGED':>8}"]
    for one in runs:
        calls = sum(play.calls for play in one.plays)
        lines.append(
            f"{one.name:32} {one.seconds:8.1f} {one.cpu_seconds:7.1f} {one.largest_mb:5.0f}"
            f" {calls:6} {one.most_tasks_of_a_host:14} {one.changed:8}"
        )
    for one in runs[:2]:
        lines += ["", f"{one.name}:"]
        for play in one.plays:
            lines.append(f"  {play.seconds:6.1f} s {play.calls:4} calls  {play.name}")
            slowest = sorted(play.tasks.items(), key=lambda item: -item[1])[:3]
            lines += [f"    {took:6.1f} s  {task}" for task, took in slowest if took >= 1]
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.rollout", description=__doc__)
    parser.add_argument("--name", default="rollout", help="name of the fleet made for it")
    parser.add_argument("--inventory", type=Path, default=ROOT / "inventory" / "production")
    parser.add_argument("--hosts", type=int, help="measure a fleet of that many hosts instead")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    source = fleet_of(given.hosts) if given.hosts else given.inventory.resolve()
    runs = measure(given.name, [source], compare=not given.hosts)
    print(f"\nload before: {load:.1f}\n\n{table(runs)}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(
        json.dumps({"load_before": load, "runs": [asdict(one) for one in runs]}, indent=1)
    )
    print(f"\nwritten to {OUT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
