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
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import containers, image, inventory, overlay
from lab.paths import LAB_ENV, ROOT, LabError, fleet_dir, socket_dir, tool

BOOT_TIMEOUT_S = 60


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
    """Make the fleet of an inventory and return it, booted and reachable by ssh.

    Raises:
        LabError: not root, not podman's to give, another clone's fleet, or a host that does
            not boot within a minute.
    """
    if os.geteuid() != 0:
        raise LabError("the lab needs root: its containers' addresses must be reachable")
    started = time.monotonic()
    read = inventory.read(sources)
    there = containers.existing(name)
    _refuse_foreign(name, there)
    specs = _specs(name, read, there)
    steps = containers.plan(specs, there)
    changed = bool(steps.create or steps.start or steps.remove)
    if changed:
        for action, count in (("removing", len(steps.remove)), ("creating", len(steps.create)),
                              ("starting", len(steps.start))):
            if count:
                print(f"lab: {action} {count} containers of fleet {name}", flush=True)
        _close_connections(name)
        containers.carry_out(steps, name)
    folder = overlay.write(specs, read)
    socket_dir(name).mkdir(mode=0o700, exist_ok=True)
    fresh = [*steps.create, *steps.start]
    if fresh:
        with ThreadPoolExecutor(max_workers=len(fresh)) as pool:
            list(pool.map(_wait_until_booted, fresh))
    state = {"sources": [str(source) for source in sources], "inventory": read.digest}
    (fleet_dir(name) / "fleet.json").write_text(json.dumps(state))
    took = time.monotonic() - started
    print(
        f"lab: fleet {name}: {len(specs)} hosts on {containers.subnet(name)} "
        f"{'ready' if changed else 'already running'} ({took:.1f} s)",
        flush=True,
    )
    return Fleet(name, tuple(sources), folder, tuple(specs), changed, read)


def down(name: str) -> None:
    """Remove the fleet's containers, network, keys, secrets and connections."""
    _close_connections(name)
    count = containers.remove_all(name)
    subprocess.run(["rm", "-rf", str(fleet_dir(name)), str(socket_dir(name))], check=True)
    if not containers.podman("ps", "--all", "--quiet").stdout.strip():
        subprocess.run([str(LAB_ENV), "--stop"], check=False)
    print(f"lab: fleet {name}: {count} containers removed")


def recall(name: str) -> Fleet:
    """Return the running fleet as `up` left it.

    Raises:
        LabError: it is not up.
    """
    try:
        state = json.loads((fleet_dir(name) / "fleet.json").read_text())
    except FileNotFoundError:
        raise LabError(f"fleet {name} is not up; `make demo` starts it") from None
    sources = tuple(Path(source) for source in state["sources"])
    read = inventory.read(sources)
    specs = _specs(name, read, containers.existing(name))
    return Fleet(name, sources, fleet_dir(name) / "inventory", tuple(specs), False, read)


def play(fleet: Fleet, playbook: Path, *arguments: str) -> int:
    """Run a playbook over the inventory plus the overlay; return ansible-playbook's exit code."""
    command = [tool("ansible-playbook"), str(playbook)]
    for source in (*fleet.sources, fleet.overlay):
        command += ["--inventory", str(source)]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    return subprocess.run([*command, *arguments], env=environment, check=False).returncode


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
    name: str, read: inventory.Inventory, there: Sequence[containers.Container]
) -> list[containers.Spec]:
    tag = image.ensure()
    key = _ensure_key(name)
    known = {container.host: container.address for container in there}
    address = containers.addresses(name, read.hosts, known)
    return [containers.Spec(name, host, address[host], tag, key) for host in read.hosts]


def _ensure_key(name: str) -> Path:
    """Return the public half of the fleet's ssh key, made at its first use."""
    private = fleet_dir(name) / "ssh" / "id_ed25519"
    if not private.exists():
        private.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        comment = f"agent-bus-lab-{name}"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(private)],
            check=True,
        )
    return private.with_suffix(".pub")


def _refuse_foreign(name: str, there: Sequence[containers.Container]) -> None:
    foreign = {container.root for container in there} - {str(ROOT)}
    if foreign:
        raise LabError(
            f"a fleet named {name} was started from {', '.join(sorted(foreign))}; "
            "remove it with `make clean-demo` (works from here, too), then try again"
        )


def _wait_until_booted(spec: containers.Spec) -> None:
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


def _close_connections(name: str) -> None:
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
    parser = argparse.ArgumentParser(prog="python -m lab.fleet", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["up", "down", "status", "exec", "play"])
    parser.add_argument("--name", default="demo", help="which fleet: demo (default), molecule, ...")
    parser.add_argument("--inventory", type=Path, action="append", help="file or folder; repeatable")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="exec: HOST [COMMAND]; play: FILE ...")
    return parser


def main() -> int:
    """Run one verb; return the exit code."""
    arguments = _arguments().parse_args()
    name: str = arguments.name
    rest: list[str] = arguments.rest
    sources = [path.resolve() for path in arguments.inventory or [ROOT / "inventory/production"]]
    verbs: dict[str, Callable[[], object]] = {
        "up": lambda: up(name, sources),
        "down": lambda: down(name),
        "status": lambda: _status(name),
        "exec": lambda: _exec(name, rest[0], rest[1:]),
        "play": lambda: play(recall(name), Path(rest[0]), *rest[1:]),
    }
    try:
        result = verbs[arguments.verb]()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
