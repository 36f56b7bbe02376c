"""The overlay inventory: what turns the hosts of any inventory into this fleet's containers.

It comes after the inventory on the command line and sets host variables of the strongest kind that
an inventory has (host_vars). So it overrides what the inventory says about reaching real machines.

It says how the containers are reached, and overrides settings that no container can satisfy. What
the inventory leaves to Ansible, the lab leaves to Ansible, too: otherwise a rehearsal would hide
what fails on the machines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from lab.engine.containers import LOGIN
from lab.fleet.ssh import SSH_OPTIONS
from lab.paths import fleet_dir, key_of, socket_dir

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lab.engine.containers import Spec
    from lab.fleet.inventory import Inventory

# How an inventory may reach its real machines: what it sets of these, the overlay has to override,
# if only with nothing.
CONNECTION_PREFIXES = ("ansible_ssh_", "ansible_password", "ansible_private_key")
KEPT = ("ansible_ssh_pipelining", "ansible_ssh_executable", "ansible_ssh_transfer_method")
"""How ssh is used: the same for containers."""
ONLY_SUDO = ("ansible_become_method", "ansible_become_exe", "ansible_become_flags")
"""A container has sudo without a password, and no other such program."""
INTERPRETER = "ansible_python_interpreter"
ONLY_INTERPRETER = "/usr/bin/python3"


def host_variables(spec: Spec, *, is_hub: bool, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables with which Ansible reaches the container instead of the machine."""
    folder = fleet_dir(spec.fleet)
    answered: dict[str, Any] = {
        "ansible_connection": "ssh",
        "ansible_host": spec.address,
        "ansible_port": 22,
        "ansible_user": LOGIN,
        "ansible_ssh_private_key_file": str(key_of(spec.fleet)),
        "ansible_ssh_args": " ".join(f"-o {option}" for option in SSH_OPTIONS),
        "ansible_control_path": str(socket_dir(spec.fleet) / spec.address),
        "agent_bus_secrets_dir": str(folder / "secrets"),
    }
    if is_hub:
        answered["bus_address"] = spec.host
    overridden = {
        key: "" for key in raw if key.startswith(CONNECTION_PREFIXES) and key not in KEPT
    }
    return {**overridden, **_without_other_programs(raw), **answered}


def _without_other_programs(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return replacements for programs that the inventory names and a container does not have.

    A word such as `auto` stays, and so does a template: only a path can be known to be missing.
    """
    replaced: dict[str, Any] = {}
    if raw.get("ansible_become_method", "sudo") != "sudo":
        replaced |= {"ansible_become_method": "sudo"}
        replaced |= {key: "" for key in ONLY_SUDO if key in raw and key not in replaced}
    interpreter = str(raw.get(INTERPRETER, ""))
    if interpreter.startswith("/") and not interpreter.startswith(ONLY_INTERPRETER):
        replaced[INTERPRETER] = ONLY_INTERPRETER
    return replaced


def write(specs: Sequence[Spec], inventory: Inventory) -> Path:
    """Write the overlay of a fleet and return its folder; unchanged files are not touched."""
    folder = fleet_dir(specs[0].fleet) / "inventory"
    wanted = {
        folder / "hosts.yml": "---\nall: {}\n",
        **{
            folder / "host_vars" / f"{spec.host}.yml": "---\n"
            + yaml.safe_dump(
                host_variables(
                    spec, is_hub=spec.host in inventory.hub, raw=inventory.variables[spec.host]
                )
            )
            for spec in specs
        },
    }
    for path in folder.rglob("*.yml"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder
