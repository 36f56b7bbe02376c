"""Turn the hosts of any inventory into containers: `python -m lab.fleet up --help`.

up      make the fleet that an inventory describes; what runs already is left alone
down    remove all of it
status  list the containers
exec    run a command on a host, or open a shell there, by ssh as an operator would
play    run an Ansible playbook over the inventory and the fleet's overlay
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lab.engine import containers
from lab.fleet.making import down, up
from lab.fleet.plays import play
from lab.fleet.ssh import ssh_command
from lab.fleet.standing import recall, spec_of
from lab.paths import ROOT, LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _status(name: str) -> int:
    there = containers.existing(name)
    for container in there:
        state = "running" if container.running else "stopped"
        print(f"{container.host:24} {container.address:16} {state}")
    return 0 if there else 1


def _exec(name: str, host: str, command: Sequence[str]) -> int:
    spec = spec_of(recall(name), host)
    ssh = ssh_command(spec)
    if not command:
        return subprocess.run([*ssh, "-t", "sudo -i"], check=False).returncode
    return subprocess.run([*ssh, *command], check=False).returncode


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab.fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in ("up", "down", "status", "exec", "play"):
        words = verbs.add_parser(verb)
        words.add_argument("--name", default="demo", help="demo (the default), molecule, ...")
        if verb == "up":
            words.add_argument(
                "--inventory", type=Path, action="append", help="file or folder; repeatable"
            )
        if verb in {"exec", "play"}:
            words.add_argument("subject", help="the host" if verb == "exec" else "the playbook")
            words.add_argument("rest", nargs=argparse.REMAINDER, help="what to run there or how")
    return parser


def main() -> int:
    """Run one verb; return the exit code."""
    given = _arguments().parse_args()
    verbs: dict[str, Callable[[], object]] = {
        "up": lambda: up(given.name, _sources(given.inventory)),
        "down": lambda: down(given.name),
        "status": lambda: _status(given.name),
        "exec": lambda: _exec(given.name, given.subject, given.rest),
        "play": lambda: play(recall(given.name), Path(given.subject), *given.rest),
    }
    try:
        result = verbs[given.verb]()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return result if isinstance(result, int) else 0


def _sources(given: Sequence[Path] | None) -> list[Path]:
    return [path.resolve() for path in given or [ROOT / "inventory" / "production"]]


if __name__ == "__main__":
    sys.exit(main())
