"""Show the whole loop with the real OpenClaw: `make e2e-openclaw`.

Two hosts of the lab run OpenClaw gateways in place of the lab's stand-in; only the language model
is a scripted double. `site.yml` is rolled out on them as on any machine, then agents on both
talk to each other, `agent-bus doctor` looks at both, and the operator wakes all by `verify.yml`.
Exit code 1 when a hop is missing, an agent is not woken, doctor finds something, or the second
rollout changes anything. The fleet is removed at the end.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import yaml

from lab.fleet import plays, standing
from lab.paths import ROOT, LabError
from lab.probe.hub import LabHub
from tests.e2e import install, loop, stage

if TYPE_CHECKING:
    from pathlib import Path

NAME = "e2e"
MOUNTED = "/opt/e2e"
PORT = 8091
PREPARE_TIMEOUT_S = 600
ROLLOUT_TIMEOUT_S = 900
WAKE_INTERVAL_S = 13
"""The watcher leaves 12 s between two wakes of an agent."""


def write_inventory() -> Path:
    """Write the inventory of the two hosts and return its folder."""
    folder = install.CACHE / "inventory"
    folder.mkdir(parents=True, exist_ok=True)
    hosts = {
        loop.ASKER_HOST: {"agents": [loop.ASKER]},
        loop.ANSWERER_HOST: {"agents": [loop.ANSWERER, loop.BUSY]},
    }
    text = yaml.safe_dump(
        {
            "all": {"vars": {"lab_mounts": [f"{install.CACHE}:{MOUNTED}"]}},
            "hub": {"hosts": {loop.ASKER_HOST: None}},
            "nodes": {"hosts": hosts},
        }
    )
    (folder / "hosts.yml").write_text(text)
    return folder


def ansible(up: standing.Fleet, playbook: Path, timeout_s: int, *arguments: str) -> str:
    """Run a playbook over the fleet and return what it printed.

    Raises:
        LabError: it failed or took too long.
    """
    started = time.monotonic()
    print(f"e2e: ansible-playbook {playbook.relative_to(ROOT)}", end=" ", flush=True)
    try:
        result = subprocess.run(
            plays.playbook_command(up, playbook, arguments),
            env=plays.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{playbook.name} did not end within {timeout_s} s") from error
    print(f"({time.monotonic() - started:.0f} s)", flush=True)
    if result.returncode != 0:
        raise LabError(f"{playbook.name} failed:\n{result.stdout[-4000:]}{result.stderr[-2000:]}")
    return result.stdout


def prepare(up: standing.Fleet, *arguments: str) -> None:
    """Have the real OpenClaw run on the hosts; more arguments are ansible-playbook's."""
    programs = {
        "node": install.NODE_PROGRAM,
        "libraries": install.LIBRARIES,
        "openclaw": install.OPENCLAW_PROGRAM,
    }
    words = [f"--extra-vars=e2e_{name}={MOUNTED}/{path}" for name, path in programs.items()]
    playbook = ROOT / "tests" / "e2e" / "prepare.yml"
    ansible(up, playbook, PREPARE_TIMEOUT_S, *words, *arguments)


def show(up: standing.Fleet) -> bool:
    """Roll out, play the rounds and print their hops; return whether all went well."""
    site = ROOT / "site.yml"
    ansible(up, site, ROLLOUT_TIMEOUT_S)
    hub = LabHub(NAME, standing.spec_of(up, loop.ASKER_HOST).address, PORT)
    print(f'e2e: a user tells {loop.ASKER}: "{loop.ORDER}"', flush=True)
    first = loop.play(up, hub)
    ended = told("first round")
    again = ansible(up, site, ROLLOUT_TIMEOUT_S, "--tags", "nodes")
    rest(ended)
    second = loop.play(up, hub)
    ended = told("second round")
    sick = [f"doctor, {h}: {w}" for h in loop.HOSTS for w in loop.doctor(up, h)]
    rest(ended)
    third = loop.play_beside_a_busy_agent(up, hub)
    told(f"third round, {loop.BUSY} being busy")
    # fails unless each agent's turn has fetched its message
    ansible(up, ROOT / "playbooks" / "verify.yml", ROLLOUT_TIMEOUT_S, "--tags", "wake")
    rounds = [("first time", first), ("again", second), (f"{loop.BUSY} is busy", third)]
    print(f"\n{loop.table(rounds)}\n", flush=True)
    troubles = sick + [f"{name}: missing: {hop.what}" for name, r in rounds for hop in r.missing]
    if not third.overtook:
        troubles.append("the wake beside a busy agent did not get past it")
    if not (first.skill_read and second.skill_read):
        troubles.append(f"{loop.ANSWERER}'s model was not shown the bus's skill")
    if set(re.findall(r"\bchanged=(\d+)", again)) != {"0"}:
        troubles.append(f"the second rollout changed something:\n{changes(again)}")
    for trouble in troubles:
        print(f"e2e: {trouble}", file=sys.stderr)
    return not troubles


def told(what: str) -> float:
    """Say that a round has ended, and return when."""
    ended = time.monotonic()
    print(f"e2e: {what} ended {time.strftime('%H:%M:%S')}", flush=True)
    return ended


def rest(ended: float) -> None:
    """Wait until a wake is no longer put off because of the one before."""
    time.sleep(max(0.0, ended + WAKE_INTERVAL_S - time.monotonic()))


def changes(output: str) -> str:
    """Return the tasks that changed something, from ansible-playbook's output."""
    tasks = re.split(r"^(?=TASK |RUNNING HANDLER )", output, flags=re.MULTILINE)
    changed = [task for task in tasks if re.search(r"^changed:", task, flags=re.MULTILINE)]
    return "\n".join(task.strip() for task in changed)


def logs(up: standing.Fleet) -> None:
    """Print the last words of gateway and watcher on both hosts."""
    words = "journalctl --no-pager --output cat --lines 25 --unit"
    for host in loop.HOSTS:
        for unit in ("openclaw-gateway", "bus-watcher"):
            print(f"--- {host}: {unit}", file=sys.stderr)
            print(loop.on(up, host, f"{words} {unit}"), file=sys.stderr)


STORY = stage.Story(
    fleet=NAME,
    words=__doc__,
    install=install.install,
    write_inventory=write_inventory,
    prepare=prepare,
    show=show,
    logs=logs,
    all_well="the loop is complete",
)

if __name__ == "__main__":
    sys.exit(stage.perform(STORY))
