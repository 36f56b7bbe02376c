"""A fleet that stands: what it is made of, and where that is noted between runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.engine import containers, image
from lab.fleet import inventory
from lab.fleet.ssh import ensure_key
from lab.paths import LabError, fleet_dir

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet that is up."""

    name: str
    sources: tuple[Path, ...]
    overlay: Path
    specs: tuple[containers.Spec, ...]
    changed: bool
    inventory: inventory.Inventory


def recall(name: str) -> Fleet:
    """Return the running fleet as `up` left it.

    Raises:
        LabError: it is not up.
    """
    state = load_state(name)
    if not state.get("subnet"):  # a fleet of an older version has none and is not found any more
        raise LabError(f"fleet {name} is not up; `make demo` starts it")
    sources = tuple(Path(source) for source in state["sources"])
    read = inventory.read(sources)
    specs = specs_of(name, read, containers.existing(name), state["subnet"])
    return Fleet(name, sources, fleet_dir(name) / "inventory", tuple(specs), False, read)


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


def specs_of(
    name: str,
    read: inventory.Inventory,
    there: Sequence[containers.Container],
    subnet: str,
) -> list[containers.Spec]:
    """Return the containers that the fleet consists of; each keeps the address that it has."""
    distribution = {
        host: read.variables[host].get("lab_distribution", image.DEFAULT) for host in read.hosts
    }
    tags = image.ensure_all(distribution.values(), settled=bool(there))
    key = ensure_key(name)
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


def state_file(name: str) -> Path:
    """Return where `up` notes what it has made."""
    return fleet_dir(name) / "fleet.json"


def load_state(name: str) -> dict[str, Any]:
    """Return what `up` noted about the fleet; empty if it is not up."""
    try:
        state: dict[str, Any] = json.loads(state_file(name).read_text())
    except FileNotFoundError:
        return {}
    return state
