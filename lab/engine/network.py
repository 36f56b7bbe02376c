"""The network of a fleet: a subnet that nobody uses, on a bridge whose name is the lab's.

Podman numbers its bridges, and gives a number again that a network of another store has while none
of that network's containers runs: hence names of our own.
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
    """Return the name of its interface on this machine, which may have 15 characters."""
    return f"ablab-{zlib.crc32(network_name(fleet).encode()):08x}"


def candidates(fleet: str, preferred: str = "", avoid: str = "") -> Iterator[str]:
    """Return subnets in the order in which they are tried: the one it had, then its usual one."""
    start = PREFERRED.get(fleet, zlib.crc32(network_name(fleet).encode()) % SUBNETS)
    subnets = (f"10.213.{(start + step) % SUBNETS}.0/24" for step in range(SUBNETS))
    both = dict.fromkeys([*([preferred] if preferred else []), *subnets])
    yield from (subnet for subnet in both if subnet != avoid)


def subnet_of(fleet: str) -> str:
    """Return the subnet of the fleet's network; empty when there is none."""
    found = podman("network", "inspect", network_name(fleet), check=False)
    if found.returncode:
        return ""
    subnet: str = json.loads(found.stdout)[0]["subnets"][0]["subnet"]
    return subnet


def ensure(fleet: str, preferred: str = "", *, avoid: str = "") -> str:
    """Have the network and return its subnet: a preferred one if it is free, never one to avoid.

    Raises:
        LabError: each subnet of the lab's is used by somebody, or podman fails otherwise.
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
    """Set the interface's name, for which this podman has no option."""
    file = STORE / "networks" / f"{network_name(fleet)}.json"
    settings = json.loads(file.read_text())
    settings["network_interface"] = bridge_name(fleet)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(settings, indent=4))
    new.replace(file)


def remove(fleet: str) -> None:
    """Remove the network and whatever a killed run left of its bridge."""
    podman("network", "rm", "--force", network_name(fleet), check=False)
    remove_bridge(bridge_name(fleet))


def ports(bridge: str) -> list[str]:
    """Return the interfaces that are plugged into a bridge, one per container."""
    listing = run(["ip", "-json", "link", "show", "master", bridge], check=False).stdout
    return [link["ifname"] for link in json.loads(listing or "[]") if "ifname" in link]


def remove_bridge(name: str) -> None:
    """Remove a bridge, if it is there, with what containers that are gone had plugged into it."""
    for interface in (*ports(name), name):
        run(["ip", "link", "delete", interface], check=False)
