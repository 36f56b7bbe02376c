"""Look around in a running fleet: a shell on a host, a message as an agent, the logs.

`python -m lab.probe.look shell HOST`, `send FROM TO BODY`, `logs [HOST]`: what `make shell`,
`make send` and `make logs` call.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from lab.fleet import standing
from lab.fleet.ssh import ssh_command
from lab.paths import LabError
from lab.probe.census import census_of

if TYPE_CHECKING:
    from collections.abc import Sequence

JOURNAL = "sudo journalctl --no-pager --output cat --unit agent-bus --unit bus-watcher --lines"


def shell(up: standing.Fleet, host: str) -> int:
    """Open a root shell on a host and return its exit code."""
    if not host:
        names = ", ".join(spec.host for spec in up.specs)
        raise LabError(f"say which host: make shell HOST=..., one of {names}")
    return subprocess.run(
        [*ssh_command(standing.spec_of(up, host)), "-t", "sudo -i"], check=False
    ).returncode


def send(up: standing.Fleet, sender: str, recipient: str, body: str) -> int:
    """Send a message from an agent's own host, as its user, and return the exit code.

    Raises:
        LabError: something was left out, or no host has the sender.
    """
    if not (sender and recipient and body):
        raise LabError("say who writes what to whom: make send FROM=main TO=coder BODY='Hello'")
    who = census_of(up.name)
    homes = [host for host, agents in who.agents.items() if sender in agents]
    if not homes:
        known = ", ".join(agent for agents in who.agents.values() for agent in agents)
        raise LabError(f"no host has an agent {sender!r}; there are {known}")
    words = ["agent-bus", "send", "--as", sender, "--to", recipient, "--", body]
    command = f"sudo runuser -u {who.user_of(sender)} -- {shlex.join(words)}"
    return subprocess.run(
        [*ssh_command(standing.spec_of(up, homes[0])), command], check=False
    ).returncode


def logs(up: standing.Fleet, host: str) -> int:
    """Print the last lines of hub and watchers: a few of each host, or many of one."""
    hosts = [host] if host else [spec.host for spec in up.specs]
    lines = 200 if host else 12
    worst = 0
    for name in hosts:
        print(f"--- {name}", flush=True)
        command = [*ssh_command(standing.spec_of(up, name)), f"{JOURNAL} {lines}"]
        worst = max(worst, subprocess.run(command, check=False).returncode)
    return worst


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.probe.look", description=__doc__)
    parser.add_argument("--name", default="demo", help="name of the fleet (default: demo)")
    parser.add_argument("verb", choices=["shell", "send", "logs"])
    parser.add_argument("words", nargs="*")
    given = parser.parse_args(arguments)
    words = [*given.words, "", "", ""]
    try:
        up = standing.recall(given.name)
        if given.verb == "shell":
            return shell(up, words[0])
        if given.verb == "send":
            return send(up, words[0], words[1], words[2])
        return logs(up, words[0])
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
