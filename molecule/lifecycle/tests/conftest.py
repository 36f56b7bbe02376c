"""The operator whose fleet it is."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab.fleet import plays
from lab.paths import ROOT, fleet_dir
from lab.probe.running import RunningFleet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HUB_SETTINGS = '{"message_bus_settings": {"keepalive_s": 14}}'
"""Given by an operator in one test, missed by those who do not give it in a later one."""


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
    """Edits the inventory and runs playbooks over the fleet, from this checkout or another."""

    hub_settings = ("-e", HUB_SETTINGS)
    at_once = ("-e", '{"rollout_batches": ["100%"]}')
    """One batch, where the batches are not what is tested."""

    def __init__(self, running: RunningFleet) -> None:
        self._running = running

    def edit(self, **hosts: Mapping[str, Any]) -> None:
        """Set hosts' variables in the inventory; what was set for other hosts before stays so."""
        own = fleet_dir(self._running.up.name) / "inventory-of-mine"
        (own / "host_vars").mkdir(parents=True, exist_ok=True)
        (own / "hosts.yml").write_text("---\nall: {}\n")
        for host, variables in hosts.items():
            (own / "host_vars" / f"{host}.yml").write_text(yaml.safe_dump(dict(variables)))
        self._running.remake([*dict.fromkeys([*self._running.up.sources, own])])

    def play(self, playbook: str, *arguments: str, checkout: Path = ROOT) -> Run:
        """Run a playbook and return what came of it."""
        command = plays.playbook_command(self._running.up, checkout / playbook, arguments)
        config = str(checkout / "ansible.cfg")
        environment = {**plays.readable_environment(), "ANSIBLE_CONFIG": config}
        started = time.monotonic()
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=checkout,
            stdin=subprocess.DEVNULL,
        )
        # shown with `pytest -rP`, and when the test fails
        print(f"{time.monotonic() - started:5.1f} s  {playbook} {shlex.join(arguments)}")
        return Run(done.returncode, done.stdout + done.stderr)

    def roll_out(self, *arguments: str, checkout: Path = ROOT) -> Run:
        """Run site.yml, which has to succeed."""
        run = self.play("site.yml", *arguments, checkout=checkout)
        assert run.code == 0, run.text
        return run

    def follow(
        self,
        page: str,
        command: str,
        *more: str,
        here: Mapping[str, str] = MappingProxyType({}),
        checkout: Path = ROOT,
    ) -> Run:
        """Run a command of a how-to page, which has to have it word for word.

        Args:
            page: the page's name in docs/how-to.
            command: what the page says after `ansible-playbook -i inventory/mine `.
            more: what else is needed here, where nobody answers a prompt.
            here: this fleet's words for the page's, such as the name of a host.
            checkout: where the playbook is run from.
        """
        text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text()
        lines = {line.strip() for line in text.splitlines()}
        assert f"ansible-playbook -i inventory/mine {command}" in lines, f"{page}.md has it not"
        for word, own in here.items():
            command = command.replace(word, own)
        playbook, *arguments = shlex.split(command)
        return self.play(playbook, *arguments, *more, checkout=checkout)


@pytest.fixture(scope="session")
def running() -> RunningFleet:
    """Return one for all tests: `Operator.edit` changes it with the fleet."""
    return RunningFleet(os.environ["FLEET"])


@pytest.fixture
def operator(running: RunningFleet) -> Operator:
    return Operator(running)
