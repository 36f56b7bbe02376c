"""Fleets that an older version of the lab made in podman's usual store.

Anybody's containers may be there, too. Those are removed that have this clone's key of the fleet
among their mounts, and as their version would have done it: in the mount namespace that it kept.
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

from lab import living
from lab.paths import key_of
from lab.podman import IN_USE, run

STORE = Path("/var/lib/containers/storage")
NETWORKS = Path("/etc/containers/networks")
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
    """Remove the fleet's containers and network from podman's usual store."""
    there = ids(fleet)
    file = NETWORKS / f"agent-bus-{fleet}.json"
    if not there and not (file.exists() and not _is_used(file)):
        return
    if there:
        _podman("rm", "--force", "--ignore", "--time", "0", "--volumes", *there)
        # those of which podman says that they do not run, and has just forgotten
        living.end([one for one in living.residents(fleet) if one.container in there])
        if left := ids(fleet):
            _podman("rm", "--force", "--ignore", "--time", "0", "--volumes", *left)
    if file.exists() and not _is_used(file):
        bridge = json.loads(file.read_text())["network_interface"]
        _podman("network", "rm", f"agent-bus-{fleet}")
        if not _is_used_bridge(bridge):
            run(["ip", "link", "delete", bridge], check=False)
    _end_namespace()


def _is_used(network: Path) -> bool:
    return _is_used_bridge(json.loads(network.read_text())["network_interface"])


def _is_used_bridge(bridge: str) -> bool:
    """Tell whether a container's interface is plugged into a bridge."""
    listing = run(["ip", "-json", "link", "show", "master", bridge], check=False).stdout
    return any(json.loads(listing or "[]"))


def _namespace_of(pid: str) -> str:
    return str(Path(f"/proc/{pid}/ns/mnt").readlink())


def _namespace() -> list[str]:
    """Return the command before a command that enters the namespace; empty when there is none."""
    pids = []
    with contextlib.suppress(OSError, ValueError):
        pid, namespace = HOLDER.read_text().split()
        if _namespace_of(pid) == namespace:
            pids.append(pid)
    for comm in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            mounts = comm.with_name("mounts")
            if comm.read_text() == "conmon\n" and "lab /run/libpod tmpfs" in mounts.read_text():
                pids.append(comm.parent.name)
    return ["nsenter", f"--mount=/proc/{pids[0]}/ns/mnt", "--"] if pids else []


def _podman(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the podman that everybody has, in the older version's namespace where it had one."""
    inside = _namespace()
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("CONTAINERS_")
    }
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as settings:
        settings.write(SETTINGS)
        settings.flush()
        if inside:
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
    """End the older version's namespace unless it has containers, or somebody makes some."""
    with IN_USE.open("a") as lock, contextlib.suppress(OSError, ValueError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        pid, namespace = HOLDER.read_text().split()
        if _namespace_of(pid) != namespace:
            return
        if _podman("ps", "--all", "--quiet").stdout.strip():
            return
        os.kill(int(pid), signal.SIGKILL)
        HOLDER.unlink()
