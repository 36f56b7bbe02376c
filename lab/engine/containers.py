"""The containers of one fleet: what is there, what should be there, and the steps between.

One container per host, all on the fleet's own network (lab/engine/network.py). A container has the
hash of its specification as a label, so that a running fleet is recognized and left alone. Names
and labels distinguish fleets of the same name that belong to different clones of this project.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.engine.network import network_name
from lab.engine.podman import podman
from lab.paths import OWNER, ROOT, LabError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LABEL = "agent-bus-lab"
LOGIN = "ansible"
LAB_LOGIN = "lab"
"""The login for what the lab itself does on a host."""
TRAITS = ("lab_login_shell", "lab_umask", "lab_openclaw_shell", "lab_openclaw_environment")
"""Variables of a host that lab/prepare.yml applies once; another value needs a new container."""
FIRST_HOST = 10
# What systemd's hardening needs: without SYS_ADMIN, systemd silently ignores ProtectSystem=,
# PrivateTmp= and others. Not --privileged, which hands over the machine's devices and clock.
CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "NET_RAW", "SYS_NICE", "MKNOD", "SYS_PTRACE")


@dataclass(frozen=True, slots=True)
class Spec:
    """What one container should be."""

    fleet: str
    host: str
    address: str
    image: str
    public_key: Path
    mounts: tuple[str, ...] = ()
    """Folders of this machine that the container sees read-only, as FOLDER:PATH."""
    traits: tuple[str, ...] = ()
    """What lab/prepare.yml makes different on this host."""

    @property
    def name(self) -> str:
        """Return the container's name, which no other fleet uses."""
        return container_name(self.fleet, self.host)

    @property
    def mac(self) -> str:
        """Return a fixed MAC address.

        If it changed with each start, peers would use the old one from their ARP caches and time
        out for tens of seconds.
        """
        return "02:fe:" + ":".join(f"{int(part):02x}" for part in self.address.split("."))

    def arguments(self) -> list[str]:
        """Return the arguments of `podman run`."""
        network = f"{network_name(self.fleet)}:ip={self.address},mac={self.mac},alias={self.host}"
        return [
            "--detach",
            *("--name", self.name),
            *("--hostname", self.host),
            *("--network", network),
            *("--volume", f"{self.public_key}:/etc/ssh/authorized_keys.d/{LOGIN}:ro"),
            *(f"--volume={mount}:ro" for mount in self.mounts),
            *("--label", f"{LABEL}.root={ROOT}"),
            *(f"--cap-add={capability}" for capability in CAPABILITIES),
            *("--security-opt", "apparmor=unconfined"),
            *("--security-opt", "label=disable"),
            *(
                "--restart",
                "always",
            ),  # `systemctl reboot` ends the container, and podman starts it again
            *("--systemd", "always"),
            self.image,
        ]

    def digest(self) -> str:
        """Return 16 hex digits that change whenever a new container is needed."""
        facts = [*self.arguments(), self.public_key.read_text(), *self.traits]
        return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a fleet that podman knows."""

    name: str
    host: str
    address: str
    digest: str
    running: bool
    id: str = ""


@dataclass(slots=True)
class Plan:
    """The steps from what is there to what should be there."""

    keep: list[Spec] = field(default_factory=list)
    start: list[Spec] = field(default_factory=list)
    create: list[Spec] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)


def container_name(fleet: str, host: str) -> str:
    """Return the name of a host's container; the fleet's part has no dot and ends at the first."""
    return f"agent-bus-{OWNER}-{fleet}.{host}"


def addresses(subnet: str, hosts: Sequence[str], known: dict[str, str]) -> dict[str, str]:
    """Return each host's address: the one it has, or the lowest free one.

    Raises:
        LabError: the subnet is full.
    """
    whole = ipaddress.ip_network(subnet)
    kept = {
        host: known[host]
        for host in hosts
        if host in known and ipaddress.ip_address(known[host]) in whole
    }
    taken = set(kept.values())
    free = [str(address) for address in whole.hosts()][FIRST_HOST - 1 :]
    free = [address for address in free if address not in taken]
    missing = [host for host in hosts if host not in kept]
    if len(missing) > len(free):
        raise LabError(f"{len(hosts)} hosts do not fit into {subnet}")
    return {**kept, **dict(zip(missing, free, strict=False))}


def existing(fleet: str) -> list[Container]:
    """Return the containers of this clone's fleet, running or not."""
    ours = (f"{LABEL}={fleet}", f"{LABEL}.root={ROOT}")
    filters = [word for label in ours for word in ("--filter", f"label={label}")]
    listing = podman("ps", "--all", *filters, "--format", "json")
    return parse_listing(listing.stdout)


def parse_listing(listing: str) -> list[Container]:
    """Return the containers in the output of `podman ps --format json`."""
    found = []
    for entry in json.loads(listing or "[]") or []:
        labels = entry["Labels"]
        found.append(
            Container(
                name=entry["Names"][0],
                host=labels[f"{LABEL}.host"],
                address=labels[f"{LABEL}.address"],
                digest=labels[f"{LABEL}.spec"],
                running=entry["State"] == "running",
                id=entry["Id"],
            )
        )
    return found


def plan(wanted: Sequence[Spec], there: Sequence[Container]) -> Plan:
    """Return the steps after which exactly the wanted containers run."""
    by_host = {container.host: container for container in there}
    steps = Plan(remove=[c.name for c in there if c.host not in {s.host for s in wanted}])
    for spec in wanted:
        container = by_host.get(spec.host)
        if container is None:
            steps.create.append(spec)
        elif container.digest != spec.digest():
            steps.remove.append(container.name)
            steps.create.append(spec)
        elif container.running:
            steps.keep.append(spec)
        else:
            steps.start.append(spec)
    return steps


def carry_out(steps: Plan) -> None:
    """Remove, create and start containers, several at a time."""
    if steps.remove:
        remove(steps.remove)
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(_start, steps.start))
        list(pool.map(_create, steps.create))


def remove(names: Sequence[str], *, check: bool = True) -> None:
    """Remove containers by name or id, whatever their state; missing ones are no error."""
    podman("rm", "--force", "--ignore", "--time", "0", "--volumes", *names, check=check)


def _start(spec: Spec) -> None:
    podman("start", spec.name)


def _create(spec: Spec) -> None:
    labels = {
        LABEL: spec.fleet,
        f"{LABEL}.host": spec.host,
        f"{LABEL}.address": spec.address,
        f"{LABEL}.spec": spec.digest(),
    }
    named = [item for key, value in labels.items() for item in ("--label", f"{key}={value}")]
    command = ["run", *named, *spec.arguments()]
    if podman(*command, check=False).returncode:
        # A run that was killed may have left one of this name that podman has not recorded.
        remove([spec.name])
        podman(*command)


def half_made(fleet: str) -> list[str]:
    """Return the names of the fleet's containers that only podman's store knows."""
    listing = podman("ps", "--all", "--external", "--format", "json").stdout
    entries = [entry for entry in json.loads(listing or "[]") or [] if not entry["Labels"]]
    names = [name for entry in entries for name in entry["Names"] or []]
    return [name for name in names if name.startswith(container_name(fleet, ""))]
