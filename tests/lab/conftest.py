"""A separate lab for these tests, which break its namespace and its podman's records."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.paths import LAB_ENV, ROOT
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FLEET = "killed"
INVENTORY = """\
hub: {hosts: {anchor: {}}}
nodes: {hosts: {anchor: {agents: [ada]}, birch: {agents: [bert]}}}
"""


@dataclass(frozen=True)
class Lab:
    """The lab's programs, with a store and a namespace of their own."""

    folder: Path
    inventory: Path
    environment: dict[str, str] = field(default_factory=dict)
    clone: Path = ROOT
    """The copy of this project whose programs are run."""

    @property
    def state(self) -> Path:
        """Where lab-env keeps the namespace."""
        return self.folder / "state"

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self.clone,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=patience(300),
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.clone,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def fleet(self, verb: str) -> list[str]:
        """Return the command of a verb of lab.fleet."""
        more = ["--inventory", str(self.inventory)] if verb == "up" else []
        return [sys.executable, "-m", "lab.fleet", verb, "--name", FLEET, *more]

    def up(self) -> str:
        """Make the fleet and return what was said."""
        done = self.run(*self.fleet("up"))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def podman(self, *arguments: str) -> str:
        """Run the lab's podman and return what it printed."""
        done = self.run(str(LAB_ENV), "podman", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def states(self) -> list[str]:
        """Return the state of each container of the fleet, as podman sees it."""
        label = f"label=agent-bus-lab={FLEET}"
        listing = self.podman("ps", "--all", "--filter", label, "--format", "json")
        return [entry["State"] for entry in json.loads(listing)]

    def end(self) -> None:
        """End this lab's containers, also those that podman has forgotten, and its namespace."""
        for monitor in self.monitors():
            for pid in descendants(monitor):  # first the one that would restart the others
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.run(str(LAB_ENV), "sh", "-c", "podman ps -aq | xargs -r podman rm -f -t 0")
        self.run(str(LAB_ENV), "--stop")

    def monitors(self) -> list[int]:
        """Return the conmon processes of this lab, by the store in their command lines."""
        store = str(self.folder / "store")
        return [
            pid for pid, words in processes() if "conmon" in words[0] and store in " ".join(words)
        ]


def processes() -> Iterator[tuple[int, list[str]]]:
    """Return the processes of the machine and their command lines."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_text().split("\0")
            yield int(folder.name), words


def descendants(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found += descendants(int(child))
    return found


def kill_run(process: subprocess.Popen[str]) -> None:
    """End a run by the ids of its processes, all at once, as an impatient operator does."""
    for pid in descendants(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab in which nothing is left at the end."""
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(INVENTORY)
    environment = {
        **os.environ,
        "LAB_ENV_STATE": str(tmp_path / "state"),
        "LAB_STORE": str(tmp_path / "store"),
    }
    one = Lab(tmp_path, inventory, environment)
    yield one
    one.run(*one.fleet("down"))
    one.end()


@dataclass(frozen=True)
class Stranger:
    """A container that is not the lab's, but looks like it."""

    lab: Lab
    name: str
    pid: int

    def lives(self) -> bool:
        """Tell whether it is alive, by podman's word and the kernel's."""
        told = self.lab.podman("inspect", "--format", "{{.State.Pid}}", self.name)
        return told == str(self.pid) and Path(f"/proc/{self.pid}").exists()


def stranger(lab: Lab, name: str, *more: str) -> Stranger:
    """Start such a container in the store of a lab."""
    image = usual_image()
    words = ("--network", "none", "--entrypoint", "sleep", *more)
    lab.podman("run", "--detach", "--name", name, *words, image, "infinity")
    pid = int(lab.podman("inspect", "--format", "{{.State.Pid}}", name))
    return Stranger(lab, name, pid)


def usual_image() -> str:
    """Return the tag of the lab's usual image."""
    program = (
        "from lab.engine import image; from lab.engine.podman import in_use\n"
        "with in_use(): print(image.ensure_all(['bookworm'], settled=False)['bookworm'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]


@pytest.fixture
def strangers(lab: Lab, tmp_path: Path) -> Iterator[Sequence[Stranger]]:
    """One beside the fleet in the same store, named like it; one in another store."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = Lab(
        elsewhere,
        lab.inventory,
        {
            **lab.environment,
            "LAB_ENV_STATE": str(elsewhere / "state"),
            "LAB_STORE": str(elsewhere / "store"),
        },
    )
    yield (
        stranger(lab, "agent-bus-demo-birch", "--label", "agent-bus-lab.host=birch"),
        stranger(other, f"agent-bus-{FLEET}-birch", "--label", f"agent-bus-lab={FLEET}"),
    )
    other.end()


def wait_for_first_container(lab: Lab, before: set[int]) -> None:
    """Wait until the first container of a run is there, while others are being made."""
    wait_until(
        lambda: set(lab.monitors()) - before, "the first container has a monitor", seconds=300
    )
