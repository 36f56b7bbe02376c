"""Ansible over a fleet: the inventory plus the overlay, by the project's own ansible.cfg."""

from __future__ import annotations

import os
import subprocess
from types import MappingProxyType
from typing import TYPE_CHECKING

from lab.paths import ROOT, tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lab.fleet.standing import Fleet


def play(
    fleet: Fleet,
    playbook: Path,
    *arguments: str,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Run a playbook over the inventory plus the overlay; return ansible-playbook's exit code."""
    command = playbook_command(fleet, playbook, arguments)
    return subprocess.run(command, env={**environment(), **settings}, check=False).returncode


def playbook_command(fleet: Fleet, playbook: Path, arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs a playbook over the inventory plus the overlay."""
    command = [tool("ansible-playbook"), str(playbook)]
    for source in (*fleet.sources, fleet.overlay):
        command += ["--inventory", str(source)]
    return [*command, *arguments]


def environment() -> dict[str, str]:
    """Return the environment in which the project's own ansible.cfg counts."""
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


def readable_environment() -> dict[str, str]:
    """Return the same for a run whose output is read by a program, also from within molecule."""
    plain = {"ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"}
    return {**environment(), **plain, "ANSIBLE_DISPLAY_OK_HOSTS": "true"}
