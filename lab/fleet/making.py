"""Makes a fleet of containers out of an inventory, and removes it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lab.engine import containers, image, limits, network
from lab.engine.podman import in_use, stop_if_unused
from lab.fleet import inventory, overlay, remains
from lab.fleet.plays import environment, playbook_command
from lab.fleet.ssh import close_connections, ssh_command
from lab.fleet.standing import Fleet, load_state, specs_of, state_file
from lab.paths import ROOT, LabError, fleet_dir, socket_dir, tool
from lab.progress import doing, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FLEET_NAME = re.compile("[a-z0-9][a-z0-9-]*")
BOOT_TIMEOUT_S = 180
"""A boot takes a second or two; a minute on a machine with ten times more work than cores."""


def up(name: str, sources: Sequence[Path]) -> Fleet:
    """Make the fleet of an inventory and return it: booted, reachable by ssh, prepared.

    Raises:
        LabError: not root, an inventory with mistakes, or a host that does not boot within three
            minutes.
    """
    if not FLEET_NAME.fullmatch(name):
        raise LabError(f"a fleet's name has lower-case letters, digits and -, not {name!r}")
    if os.geteuid() != 0:
        raise LabError("the lab needs root, to reach its containers' addresses; try sudo")
    started = time.monotonic()
    read = inventory.read(sources)
    before = load_state(name)
    if before.get("inventory") != read.digest:
        _preflight(sources)
    with in_use():
        subnet, specs, changed = _make(name, read, before.get("subnet", ""))
    folder = overlay.write(specs, read)
    fleet = Fleet(name, tuple(sources), folder, tuple(specs), changed, read)
    prepared = _prepared_digest(read, specs)
    if changed or before.get("prepared") != prepared:
        _wait_until_booted(specs)
        say("lab: giving each host its user and its stand-in for OpenClaw")
        _prepare(fleet)
    state = {
        "sources": [str(source) for source in sources],
        "inventory": read.digest,
        "prepared": prepared,
        "subnet": subnet,
    }
    state_file(name).write_text(json.dumps(state))
    took = time.monotonic() - started
    say(
        f"lab: fleet {name}: {len(specs)} hosts on {subnet} "
        f"{'ready' if changed else 'already running'} ({took:.1f} s)"
    )
    return fleet


def _make(
    name: str, read: inventory.Inventory, subnet: str
) -> tuple[str, list[containers.Spec], bool]:
    """Make the containers; return their subnet, their specs, and whether anything was done."""
    there = containers.existing(name)
    remains.end_ghosts(name, there)
    subnet = network.ensure(name, subnet)
    specs = specs_of(name, read, there, subnet)
    try:
        return subnet, specs, _carry_out(name, containers.plan(specs, there))
    except LabError as error:
        # a run that was killed while podman worked can leave parts that no podman command removes,
        # such as addresses that nobody has
        say(f"lab: {error}\nlab: fleet {name} is removed and made anew, on another subnet")
    remains.remove_all(name)
    subnet = network.ensure(name, avoid=subnet)
    specs = specs_of(name, read, [], subnet)
    return subnet, specs, _carry_out(name, containers.plan(specs, []))


def _carry_out(name: str, steps: containers.Plan) -> bool:
    """Take the steps; return whether there were any."""
    counts = {
        "removing": len(steps.remove),
        "creating": len(steps.create),
        "starting": len(steps.start),
    }
    for action, count in counts.items():
        if count:
            say(f"lab: {action} {count} containers of fleet {name}")
    socket_dir(name).mkdir(mode=0o700, exist_ok=True)
    if not any(counts.values()):
        return False
    state_file(name).unlink(
        missing_ok=True
    )  # if this run fails, the next one prepares all hosts anew
    close_connections(name)
    limits.raise_inotify()
    containers.carry_out(steps)
    return True


def _preflight(sources: Sequence[Path]) -> None:
    """Check the inventory as a rollout would, before anything is made of it."""
    command = [tool("ansible-playbook"), str(ROOT / "playbooks" / "preflight.yml")]
    for source in sources:
        command += ["--inventory", str(source)]
    result = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        sys.stderr.write(result.stderr or result.stdout)
        raise LabError("the inventory has mistakes, see above; nothing was changed")


def _prepare(fleet: Fleet) -> None:
    residents = fleet_dir(fleet.name) / "residents.json"
    arguments = ["--extra-vars", json.dumps({"lab_residents": str(residents)})]
    command = playbook_command(fleet, ROOT / "lab" / "prepare.yml", arguments)
    result = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        sys.stderr.write(result.stdout[-4000:] + result.stderr)
        raise LabError("the hosts could not be prepared, see above")
    close_connections(fleet.name)  # open ones still have the old umask


def _prepared_digest(read: inventory.Inventory, specs: Sequence[containers.Spec]) -> str:
    """Return a text that changes whenever the hosts have to be prepared again."""
    lab = ROOT / "lab"
    parts = ("prepare.yml", "place_stubs.py", "templates", "gateway_standin")
    program = image.content_hash(*(lab / part for part in parts))
    return "-".join([read.digest, program, *(spec.digest() for spec in specs)])


def _wait_until_booted(specs: Sequence[containers.Spec]) -> None:
    doing(f"waiting until {len(specs)} hosts have booted")
    with ThreadPoolExecutor(max_workers=len(specs)) as pool:
        list(pool.map(_wait_for_one, specs))


def _wait_for_one(spec: containers.Spec) -> None:
    command = [*ssh_command(spec), "systemctl is-system-running --wait"]
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    while time.monotonic() < deadline:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if result.stdout.strip() in {"running", "degraded"}:
            return
        time.sleep(0.2)
    raise LabError(f"{spec.host} did not boot: {result.stdout.strip()} {result.stderr.strip()}")


def down(name: str) -> None:
    """Remove the fleet's containers, network, keys, secrets and connections."""
    doing(f"removing fleet {name}")
    close_connections(name)
    count = remains.remove_all(name)
    subprocess.run(["rm", "-rf", str(fleet_dir(name)), str(socket_dir(name))], check=True)
    stop_if_unused()
    say(f"lab: fleet {name}: {count} containers removed")
