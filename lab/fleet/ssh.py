"""How the lab reaches a fleet's hosts: its key, its ssh command line, its shared connections."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lab.engine.containers import LAB_LOGIN
from lab.paths import key_of, socket_dir

if TYPE_CHECKING:
    from pathlib import Path

    from lab.engine.containers import Spec

SSH_OPTIONS = (
    "ControlMaster=auto",
    "ControlPersist=600s",
    "StrictHostKeyChecking=no",  # the containers are new machines each time
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
    "PreferredAuthentications=publickey",
    "IdentitiesOnly=yes",
)


def ensure_key(name: str) -> Path:
    """Return the public half of the fleet's ssh key; its first use makes it."""
    private = key_of(name)
    if not private.exists():
        private.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        comment = f"agent-bus-lab-{name}"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(private)],
            check=True,
        )
    return private.with_suffix(".pub")


def ssh_command(spec: Spec) -> list[str]:
    """Return the start of the lab's own ssh command line, as a user with sudo.

    It is not Ansible's user, whose login shell and umask the inventory chooses.
    """
    options = [item for option in SSH_OPTIONS for item in ("-o", option)]
    key = key_of(spec.fleet)
    control = f"ControlPath={socket_dir(spec.fleet) / spec.address}-{LAB_LOGIN}"
    return ["ssh", *options, "-o", control, "-i", str(key), f"{LAB_LOGIN}@{spec.address}"]


def close_connections(name: str) -> None:
    """End the shared connections of ssh: one to a removed container would hang."""
    for socket in socket_dir(name).glob("*"):
        subprocess.run(
            ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "lab"],
            capture_output=True,
            check=False,
        )
