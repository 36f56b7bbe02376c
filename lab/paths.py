"""Where the lab keeps things, and the one error it ends with."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAB_ENV = ROOT / "lab" / "lab-env"
STORE = Path(os.environ.get("LAB_STORE", "/var/lib/agent-bus-lab"))
"""Where lab-env puts images, containers and networks."""
OWNER = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
"""Identifies this clone: part of every name that the lab uses outside of its folder."""


class LabError(Exception):
    """The lab cannot go on; the message says why and what to do."""


def tool(name: str) -> str:
    """Return the path of a program of this project's virtual environment."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def fleet_dir(fleet: str) -> Path:
    """Return the folder of all that is generated for one fleet: keys, secrets, overlay."""
    return ROOT / ".cache" / "lab" / fleet


def socket_dir(fleet: str) -> Path:
    """Return a short private folder for ssh's control sockets.

    The path of a Unix socket has at most 108 bytes; the path of a clone may be too long.
    """
    return Path(tempfile.gettempdir()) / f"agent-bus-lab-{os.getuid()}-{OWNER}-{fleet}"


def key_of(fleet: str) -> Path:
    """Return the private half of a fleet's ssh key; its containers mount the public half."""
    return fleet_dir(fleet) / "ssh" / "id_ed25519"
