"""Read any Ansible inventory as the lab needs it: which hosts there are and what they set.

Templates are not evaluated here: what needs their values is done by a play (lab/prepare.yml).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

from lab.paths import ROOT, LabError, tool


@dataclass(frozen=True, slots=True)
class Inventory:
    """The hosts of an inventory's groups hub and nodes, in its order, with raw variables."""

    hosts: tuple[str, ...]
    hub: frozenset[str]
    variables: Mapping[str, Mapping[str, Any]]
    digest: str
    """Changes when any host, group or variable changes."""


def read(sources: Sequence[Path]) -> Inventory:
    """Return what `ansible-inventory --list` says about the sources together.

    Raises:
        LabError: a source is missing, cannot be parsed or has no host.
    """
    for source in sources:
        if not source.exists():
            raise LabError(f"there is no inventory at {source}")
    command = [tool("ansible-inventory"), "--list"]
    for source in sources:
        command += ["--inventory", str(source)]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        },
    )
    if result.returncode != 0:
        sys.stderr.write(result.stderr)
        raise LabError(f"ansible-inventory cannot read {', '.join(map(str, sources))}")
    return parse(result.stdout)


def parse(listing: str) -> Inventory:
    """Return the inventory in the JSON output of `ansible-inventory --list`.

    Raises:
        LabError: its groups hub and nodes have no host.
    """
    groups: dict[str, Any] = json.loads(listing)
    variables: dict[str, dict[str, Any]] = groups.pop("_meta", {}).get("hostvars", {})
    hosts = dict.fromkeys([*_members(groups, "hub"), *_members(groups, "nodes")])
    if not hosts:
        raise LabError("the inventory has no host in its groups hub and nodes")
    return Inventory(
        hosts=tuple(hosts),
        hub=frozenset(_members(groups, "hub")),
        variables={host: variables.get(host, {}) for host in hosts},
        digest=hashlib.sha256(listing.encode()).hexdigest(),
    )


def _members(groups: Mapping[str, Any], name: str) -> list[str]:
    """Return the hosts of a group and of its children, each once, in inventory order."""
    group = groups.get(name, {})
    found = dict.fromkeys(group.get("hosts", []))
    for child in group.get("children", []):
        found.update(dict.fromkeys(_members(groups, child)))
    return list(found)
