"""The network of a fleet: a subnet that nobody uses, on a bridge whose name is the lab's.

Podman numbers its bridges. It may use the number of another store's network while no container of
that network runs, so the lab names its bridges itself.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

from lab.engine.podman import podman, run
from lab.paths import OWNER, STORE, LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFERRED = {"demo": 77, "molecule": 78}
SUBNETS = 256
TAKEN = ("already used", "already being used")


def network_name(fleet: str) -> str:
    """Return the name of a fleet's network."""
    return f"agent-bus-{OWNER}-{fleet}"


def bridge_name(fleet: str) -> str:
    """Return the name of its interface on this machine, at most 15 characters."""
    return f"ablab-{zlib.crc32(network_name(fleet).encode()):08x}"


def candidates(fleet: str, preferred: str = "", avoid: str = "") -> Iterator[str]:
    """Return subnets in the order of trying: the one it had, its usual one, then the others."""
    start = PREFERRED.get(fleet, zlib.crc32(network_name(fleet).encode()) % SUBNETS)
    subnets = (f"10.213.{(start + step) % SUBNETS}.0/24" for step in range(SUBNETS))
    both = dict.fromkeys([*([preferred] if preferred else []), *subnets])
    yield from (subnet for subnet in both if subnet != avoid)


def subnet_of(fleet: str) -> str:
    """Return the subnet of the fleet's network; empty if there is none."""
    found = podman("network", "inspect", network_name(fleet), check=False)
    if found.returncode:
        return ""
    subnet: str = json.loads(found.stdout)[0]["subnets"][0]["subnet"]
    return subnet


def ensure(fleet: str, preferred: str = "", *, avoid: str = "") -> str:
    """Make the network unless it is there; return its subnet, `preferred` if that is free.

    Raises:
        LabError: all of the lab's subnets are in use, or podman fails in another way.
    """
    there = subnet_of(fleet)
    if there:
        return there
    remove_bridge(bridge_name(fleet))  # left by a run that was killed
    for subnet in candidates(fleet, preferred, avoid):
        made = podman("network", "create", "--subnet", subnet, network_name(fleet), check=False)
        if made.returncode == 0:
            _name_bridge(fleet)
            return subnet
        if not any(words in made.stderr for words in TAKEN):
            raise LabError(f"the network of fleet {fleet} cannot be made:\n{made.stderr}")
    raise LabError("every subnet of 10.213.0.0/16 is used on this machine; remove a fleet first")


def _name_bridge(fleet: str) -> None:
    """Set the interface's name in podman's file: this podman has no option for it."""
    file = STORE / "networks" / f"{network_name(fleet)}.json"
    settings = json.loads(file.read_text())
    settings["network_interface"] = bridge_name(fleet)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(settings, indent=4))
    new.replace(file)


def remove(fleet: str) -> None:
    """Remove the network, and what a killed run has left of its bridge."""
    podman("network", "rm", "--force", network_name(fleet), check=False)
    remove_bridge(bridge_name(fleet))


def ports(bridge: str) -> list[str]:
    """Return the interfaces attached to a bridge, one per container."""
    listing = run(["ip", "-json", "link", "show", "master", bridge], check=False).stdout
    return [link["ifname"] for link in json.loads(listing or "[]") if "ifname" in link]


def remove_bridge(name: str) -> None:
    """Remove a bridge, if it is there, and the interfaces that former containers have left."""
    for interface in (*ports(name), name):
        run(["ip", "link", "delete", interface], check=False)
