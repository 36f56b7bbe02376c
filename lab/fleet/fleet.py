"""Turn the hosts of any inventory into containers: `python -m lab.fleet up --help`.

up      make the fleet that an inventory describes; a running one is left as it is
down    remove all of it
status  list the containers
exec    run a command on a host, or open a shell there, by ssh as an operator would
play    run an Ansible playbook over the inventory and the fleet's overlay
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lab.engine import containers, image, limits, network
from lab.engine.podman import in_use, stop_if_unused
from lab.fleet import inventory, overlay, remains
from lab.paths import ROOT, LabError, fleet_dir, key_of, socket_dir, tool
from lab.progress import doing, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FLEET_NAME = re.compile("[a-z0-9][a-z0-9-]*")
BOOT_TIMEOUT_S = 180
"""It takes a second or two, a minute on a machine with ten times more work than cores."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet that is up."""

    name: str
    sources: tuple[Path, ...]
    overlay: Path
    specs: tuple[containers.Spec, ...]
    changed: bool
    inventory: inventory.Inventory


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
    before = _load_state(name)
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
    _state_file(name).write_text(json.dumps(state))
    took = time.monotonic() - started
    say(
        f"lab: fleet {name}: {len(specs)} hosts on {subnet} "
        f"{'ready' if changed else 'already running'} ({took:.1f} s)"
    )
    return fleet


def _make(
    name: str, read: inventory.Inventory, subnet: str
) -> tuple[str, list[containers.Spec], bool]:
    """Have the containers; return their subnet, what they are, and whether anything was done."""
    there = containers.existing(name)
    remains.end_ghosts(name, there)
    subnet = network.ensure(name, subnet)
    specs = _specs(name, read, there, subnet)
    try:
        return subnet, specs, _carry_out(name, containers.plan(specs, there))
    except LabError as error:
        # a run that was killed while podman worked leaves parts that no verb of podman's removes,
        # such as addresses that are taken by nobody
        say(f"lab: {error}\nlab: fleet {name} is removed and made anew, on another subnet")
    remains.remove_all(name)
    subnet = network.ensure(name, avoid=subnet)
    specs = _specs(name, read, [], subnet)
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
    _state_file(name).unlink(missing_ok=True)  # if this fails, the next run prepares all anew
    close_connections(name)
    limits.raise_inotify()
    containers.carry_out(steps)
    return True


def _preflight(sources: Sequence[Path]) -> None:
    """Check the inventory as a rollout would, before anything is made from it."""
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
    close_connections(fleet.name)  # an open one still has the umask from before


def _prepared_digest(read: inventory.Inventory, specs: Sequence[containers.Spec]) -> str:
    """Return what changes whenever the hosts have to be prepared again."""
    lab = ROOT / "lab"
    parts = ("prepare.yml", "place_stubs.py", "templates", "gateway_standin")
    program = image.content_hash(*(lab / part for part in parts))
    return "-".join([read.digest, program, *(spec.digest() for spec in specs)])


def down(name: str) -> None:
    """Remove the fleet's containers, network, keys, secrets and connections."""
    doing(f"removing fleet {name}")
    close_connections(name)
    count = remains.remove_all(name)
    subprocess.run(["rm", "-rf", str(fleet_dir(name)), str(socket_dir(name))], check=True)
    stop_if_unused()
    say(f"lab: fleet {name}: {count} containers removed")


def recall(name: str) -> Fleet:
    """Return the running fleet as `up` left it.

    Raises:
        LabError: it is not up.
    """
    state = _load_state(name)
    if not state.get("subnet"):  # an older version's had none, and is not found any more
        raise LabError(f"fleet {name} is not up; `make demo` starts it")
    sources = tuple(Path(source) for source in state["sources"])
    read = inventory.read(sources)
    specs = _specs(name, read, containers.existing(name), state["subnet"])
    return Fleet(name, sources, fleet_dir(name) / "inventory", tuple(specs), False, read)


def play(
    fleet: Fleet,
    playbook: Path,
    *arguments: str,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Run a playbook over the inventory plus the overlay; return ansible-playbook's exit code."""
    command = playbook_command(fleet, playbook, arguments)
    return subprocess.run(command, env={**environment(), **settings}, check=False).returncode


def playbook_command(fleet: Fleet, playbook: Path, arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs a playbook over the inventory plus the overlay."""
    command = [tool("ansible-playbook"), str(playbook)]
    for source in (*fleet.sources, fleet.overlay):
        command += ["--inventory", str(source)]
    return [*command, *arguments]


def environment() -> dict[str, str]:
    """Return the environment in which the project's own ansible.cfg counts."""
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


def readable_environment() -> dict[str, str]:
    """Return the same for a run whose output is read by a program, also from within molecule."""
    plain = {"ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"}
    return {**environment(), **plain, "ANSIBLE_DISPLAY_OK_HOSTS": "true"}


def _state_file(name: str) -> Path:
    return fleet_dir(name) / "fleet.json"


def _load_state(name: str) -> dict[str, Any]:
    """Return what `up` noted about the fleet; empty when it is not up."""
    try:
        state: dict[str, Any] = json.loads(_state_file(name).read_text())
    except FileNotFoundError:
        return {}
    return state


def spec_of(fleet: Fleet, host: str) -> containers.Spec:
    """Return the container of a host.

    Raises:
        LabError: the fleet has no such host.
    """
    for spec in fleet.specs:
        if spec.host == host:
            return spec
    known = ", ".join(spec.host for spec in fleet.specs)
    raise LabError(f"fleet {fleet.name} has no host {host!r}; it has {known}")


def _specs(
    name: str,
    read: inventory.Inventory,
    there: Sequence[containers.Container],
    subnet: str,
) -> list[containers.Spec]:
    distribution = {
        host: read.variables[host].get("lab_distribution", image.DEFAULT) for host in read.hosts
    }
    tags = image.ensure_all(distribution.values(), settled=bool(there))
    key = _ensure_key(name)
    known = {container.host: container.address for container in there}
    address = containers.addresses(subnet, read.hosts, known)
    return [
        containers.Spec(
            name,
            host,
            address[host],
            tags[distribution[host]],
            key,
            tuple(read.variables[host].get("lab_mounts", ())),
            tuple(
                f"{trait}={read.variables[host][trait]}"
                for trait in containers.TRAITS
                if trait in read.variables[host]
            ),
        )
        for host in read.hosts
    ]


def _ensure_key(name: str) -> Path:
    """Return the public half of the fleet's ssh key, made at its first use."""
    private = key_of(name)
    if not private.exists():
        private.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        comment = f"agent-bus-lab-{name}"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(private)],
            check=True,
        )
    return private.with_suffix(".pub")


def _wait_until_booted(specs: Sequence[containers.Spec]) -> None:
    doing(f"waiting until {len(specs)} hosts have booted")
    with ThreadPoolExecutor(max_workers=len(specs)) as pool:
        list(pool.map(_wait_for_one, specs))


def _wait_for_one(spec: containers.Spec) -> None:
    command = [*overlay.ssh_command(spec), "systemctl is-system-running --wait"]
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    while time.monotonic() < deadline:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if result.stdout.strip() in {"running", "degraded"}:
            return
        time.sleep(0.2)
    raise LabError(f"{spec.host} did not boot: {result.stdout.strip()} {result.stderr.strip()}")


def close_connections(name: str) -> None:
    """End ssh's shared connections: those to a removed container would hang."""
    for socket in socket_dir(name).glob("*"):
        subprocess.run(
            ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "lab"],
            capture_output=True,
            check=False,
        )


def _status(name: str) -> int:
    there = containers.existing(name)
    for container in there:
        state = "running" if container.running else "stopped"
        print(f"{container.host:24} {container.address:16} {state}")
    return 0 if there else 1


def _exec(name: str, host: str, command: Sequence[str]) -> int:
    spec = spec_of(recall(name), host)
    ssh = overlay.ssh_command(spec)
    if not command:
        return subprocess.run([*ssh, "-t", "sudo -i"], check=False).returncode
    return subprocess.run([*ssh, *command], check=False).returncode


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab.fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in ("up", "down", "status", "exec", "play"):
        words = verbs.add_parser(verb)
        words.add_argument("--name", default="demo", help="demo (the default), molecule, ...")
        if verb == "up":
            words.add_argument(
                "--inventory", type=Path, action="append", help="file or folder; repeatable"
            )
        if verb in {"exec", "play"}:
            words.add_argument("subject", help="the host" if verb == "exec" else "the playbook")
            words.add_argument("rest", nargs=argparse.REMAINDER, help="what to run there or how")
    return parser


def main() -> int:
    """Run one verb; return the exit code."""
    given = _arguments().parse_args()
    verbs: dict[str, Callable[[], object]] = {
        "up": lambda: up(given.name, _sources(given.inventory)),
        "down": lambda: down(given.name),
        "status": lambda: _status(given.name),
        "exec": lambda: _exec(given.name, given.subject, given.rest),
        "play": lambda: play(recall(given.name), Path(given.subject), *given.rest),
    }
    try:
        result = verbs[given.verb]()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return result if isinstance(result, int) else 0


def _sources(given: Sequence[Path] | None) -> list[Path]:
    return [path.resolve() for path in given or [ROOT / "inventory" / "production"]]
