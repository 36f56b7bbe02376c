"""Messages from one agent to another of a running fleet, while something happens to it."""

from __future__ import annotations

import shlex
import subprocess
import threading
from typing import TYPE_CHECKING, Self

from lab.fleet import standing
from lab.fleet.ssh import ssh_command
from lab.probe.running import until

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet

PROGRAM = """
import json, select, subprocess, sys
words = ["agent-bus", "send", "--json", "--no-spool", "--as", sys.argv[1], "--to", sys.argv[2]]
while True:
    done = subprocess.run([*words, "meanwhile"], capture_output=True, text=True)
    if done.returncode == 0:
        print(json.loads(done.stdout)["id"], flush=True)
    if select.select([sys.stdin], [], [], 0.5)[0]:
        break
"""
"""Sends until its input ends, which it does with the test, however that ends."""


class PairTraffic:
    """One sender by command line; its accepted messages are known at once."""

    def __init__(self, running: RunningFleet, sender: str, recipient: str) -> None:
        self._running = running
        host = next(h for h, names in running.who.agents.items() if sender in names)
        words = ["python3", "-c", PROGRAM, sender, recipient]
        command = f"sudo runuser -u {running.who.user_of(sender)} -- {shlex.join(words)}"
        self._process = subprocess.Popen(
            [*ssh_command(standing.spec_of(running.up, host)), command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.accepted: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.accepted.append(line.strip())

    def __enter__(self) -> Self:
        self.flow()
        return self

    def __exit__(self, *_: object) -> None:
        """Let the sender send its last message, and end it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def flow(self, count: int = 4) -> None:
        """Wait until this many more messages have been accepted."""
        enough = len(self.accepted) + count
        until(lambda: len(self.accepted) >= enough, what=f"{count} more messages are accepted")

    def all_arrive(self) -> None:
        """Fail unless every accepted message reaches its agent."""
        assert self.accepted
        until(
            lambda: all(self._running.is_fetched(message) for message in self.accepted),
            what="every accepted message has reached its agent",
        )
