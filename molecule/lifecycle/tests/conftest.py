"""The operator whose fleet it is."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from lab import fleet
from lab.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from lab.running import RunningFleet


@dataclass(frozen=True)
class Run:
    """What a playbook's run said."""

    code: int
    text: str

    def says(self, words: str) -> bool:
        """Tell whether these words were said, wherever the lines were broken."""
        return words in " ".join(self.text.split())

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed each host."""
        found = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", self.text, re.MULTILINE)
        return {host: int(count) for host, count in found}


class Operator:
    """Runs playbooks over the fleet, from this checkout or another."""

    def __init__(self, up: fleet.Fleet) -> None:
        self._up = up

    def play(self, playbook: str, *arguments: str, checkout: Path = ROOT) -> Run:
        """Run a playbook and return what came of it."""
        command = fleet.playbook_command(self._up, checkout / playbook, arguments)
        environment = {
            **fleet.environment(),
            "ANSIBLE_CONFIG": str(checkout / "ansible.cfg"),
            "ANSIBLE_FORCE_COLOR": "false",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_DISPLAY_OK_HOSTS": "true",
        }
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=checkout,
            stdin=subprocess.DEVNULL,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    def roll_out(self, *arguments: str, checkout: Path = ROOT) -> Run:
        """Run site.yml, which has to succeed."""
        run = self.play("site.yml", *arguments, checkout=checkout)
        assert run.code == 0, run.text
        return run


@pytest.fixture
def operator(running: RunningFleet) -> Operator:
    return Operator(running.up)
