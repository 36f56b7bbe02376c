"""Remove a fleet, whatever state a killed run or another podman has left it in.

First podman is asked what there is, then the kernel (lab/engine/living.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.engine import containers, former, living, network

if TYPE_CHECKING:
    from collections.abc import Sequence


def end_ghosts(fleet: str, there: Sequence[containers.Container]) -> None:
    """End containers of the fleet that podman does not know, before more are made."""
    former.remove_all(fleet)
    running = {container.id for container in there if container.running}
    living.end([one for one in living.residents(fleet) if one.container not in running])


def remove_all(fleet: str) -> int:
    """Remove the fleet's containers and its network; return how many containers there were.

    Raises:
        LabError: something cannot be removed; the message says what.
    """
    known = containers.existing(fleet)
    residents = living.residents(fleet)
    count = len(
        {*(one.id for one in known), *(one.container or str(one.pid) for one in residents)}
    )
    names = [*(one.name for one in known), *containers.half_made(fleet)]
    if names:
        containers.remove(names, check=False)  # what is left is handled below
    former.remove_all(fleet)
    living.end(living.residents(fleet))
    left = [*(one.name for one in containers.existing(fleet)), *containers.half_made(fleet)]
    if left:
        containers.remove(left)
    network.remove(fleet)
    return count
