"""Fleets that an older version of the lab made in podman's usual store.

Other people's containers may be there, too. Only those that mount this clone's key of the fleet
are removed, in the way of the older version: inside the mount namespace that it kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lab.engine import living, network
from lab.engine.podman import IN_USE
from lab.paths import LabError, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

STORE = Path("/var/lib/containers/storage")
NETWORKS = Path("/etc/containers/networks")
MARK = "lab /run/libpod tmpfs"
"""A mount of such a namespace, in /proc/PID/mounts."""
HOLDER = Path("/run/agent-bus-lab-env/holder")
SETTINGS = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""


def ids(fleet: str, store: Path = STORE) -> list[str]:
    """Return the containers in a store that have this clone's key of the fleet as a mount."""
    key = str(key_of(fleet).with_suffix(".pub"))
    found = []
    for settings in (store / "overlay-containers").glob("*/userdata/config.json"):
        with contextlib.suppress(OSError, ValueError):
            mounts = json.loads(settings.read_text()).get("mounts", [])
            if any(mount.get("source") == key for mount in mounts):
                found.append(settings.parent.parent.name)
    return found


def remove_all(fleet: str) -> None:
    """Remove the fleet's containers and network from podman's usual store.

    Raises:
        LabError: podman cannot remove a container in any namespace.
    """
    file = NETWORKS / f"agent-bus-{fleet}.json"
    there = ids(fleet)
    # a network that is in use is another clone's
    if not there and not (file.exists() and not network.ports(_bridge(file))):
        return
    places = _namespaces(fleet)
    last = _remove(fleet, places[0])
    # containers that podman has just forgotten, because it took them for stopped
    living.end(living.residents(fleet))
    for place in places:
        if not ids(fleet):
            break
        last = _remove(fleet, place)
    if left := ids(fleet):
        raise LabError(f"podman cannot remove {', '.join(left)}:\n{last}")
    if file.exists():
        bridge = _bridge(file)
        _podman("network", "rm", f"agent-bus-{fleet}", inside=places[-1])
        network.remove_bridge(bridge)
    _end_name_servers()
    _end_namespace()


def _remove(fleet: str, inside: Sequence[str]) -> str:
    words = ("rm", "--force", "--ignore", "--time", "0", "--volumes")
    return _podman(*words, *ids(fleet), inside=inside).stderr.strip()


def _bridge(settings: Path) -> str:
    name: str = json.loads(settings.read_text())["network_interface"]
    return name


def _namespace_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/mnt").readlink())


def _namespaces(fleet: str) -> list[list[str]]:
    """Return what to put before a command, so that it runs where podman may know the fleet.

    First come the namespaces where its containers live; then where the older version works, or
    worked until somebody ended the process that held the namespace; at last, outside of any.
    """
    pids = [one.monitor for one in living.residents(fleet) if one.monitor]
    if (holder := _holder()) is not None:
        pids.append(holder)
    pids += _members("conmon")
    known: dict[str, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            known.setdefault(_namespace_of(pid), pid)
    known.pop(_namespace_of(os.getpid()), None)
    entered = [["nsenter", f"--mount=/proc/{pid}/ns/mnt", "--"] for pid in known.values()]
    return [*entered, []]


def _members(program: str) -> list[int]:
    """Return the processes of a program in namespaces that the older version has made."""
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            mounts = comm.with_name("mounts")
            if comm.read_text().strip() == program and MARK in mounts.read_text():
                found.append(int(comm.parent.name))
    return found


def _end_name_servers() -> None:
    """End name servers of podman that are alone in a namespace, as its containers were killed."""
    members = [*_members("conmon"), *([] if (holder := _holder()) is None else [holder])]
    used = {_namespace_of(pid) for pid in members}
    for pid in _members("aardvark-dns"):
        if _namespace_of(pid) not in used:
            living.end([living.Resident(pid, 0, "")])


def _holder() -> int | None:
    """Return the process that holds the older version's namespace."""
    with contextlib.suppress(OSError, ValueError):
        pid, namespace = HOLDER.read_text().split()
        if _namespace_of(int(pid)) == namespace:
            return int(pid)
    return None


def _podman(*arguments: str, inside: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the ordinary podman, with the older version's settings if it had any."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("CONTAINERS_")
    }
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as settings:
        settings.write(SETTINGS)
        settings.flush()
        if HOLDER.parent.exists():
            environment["CONTAINERS_CONF"] = settings.name
        return subprocess.run(
            [*inside, "podman", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )


def _end_namespace() -> None:
    """End the older version's namespace, unless it has containers or somebody is making some."""
    with IN_USE.open("a") as lock, contextlib.suppress(OSError, ValueError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder = _holder()
        if holder is None:
            return
        inside = ["nsenter", f"--mount=/proc/{holder}/ns/mnt", "--"]
        listed = _podman("ps", "--all", "--quiet", inside=inside)
        if listed.returncode or listed.stdout.strip():
            return
        os.kill(holder, signal.SIGKILL)
        HOLDER.unlink()
