"""Show the whole thing: a fleet in containers, the rollout, and every agent woken.

`python -m lab.demo [--inventory PATH]` is `make demo`. A second run on a running fleet has nothing
to change and calls the roll again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from lab.fleet import making, plays
from lab.paths import ROOT, LabError
from lab.probe import page, rollcall

HINTS = """
Look around:
  make shell HOST={host}
  make send FROM={sender} TO={recipient} BODY='Can you look at this?'
  make logs                    (or make logs HOST={host})
  make open                    the dashboard, at 127.0.0.1
  make clean-demo              removes the fleet again
"""


def main() -> int:
    """Run the demo; return 0 only if each agent was woken where it lives and nowhere else."""
    parser = argparse.ArgumentParser(prog="python -m lab.demo", description=__doc__)
    parser.add_argument("--name", default="demo", help="name of the fleet (default: demo)")
    parser.add_argument("--inventory", type=Path, default=ROOT / "inventory" / "production")
    arguments = parser.parse_args()
    try:
        return show(arguments.name, arguments.inventory.resolve())
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def show(name: str, source: Path) -> int:
    """Bring the fleet up, roll out, call the roll, print the table; return the exit code."""
    started = time.monotonic()
    up = making.up(name, [source])
    print(f"demo: ansible-playbook site.yml, over {source} and the lab's overlay", flush=True)
    rolling = time.monotonic()
    quiet = {"ANSIBLE_DISPLAY_OK_HOSTS": "false", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false"}
    if plays.play(up, ROOT / "site.yml", settings=quiet) != 0:
        print("demo: the rollout failed, see above", file=sys.stderr)
        return 1
    print(f"demo: rolled out in {time.monotonic() - rolling:.0f} s", flush=True)
    outcomes = rollcall.call(up)
    hosts = {outcome.letter.host for outcome in outcomes}
    print(f"\nA message to each of {len(outcomes)} agents on {len(hosts)} hosts:\n")
    print(rollcall.table(outcomes))
    print(
        "\nCOMMITTED: from the start of the sender's agent-bus command until the message was on"
        "\ndisk; PUSHED: from then until it was in the watcher's stream; WOKEN: from then until"
        "\nthe agent's gateway had taken the wake."
    )
    troubles = [outcome for outcome in outcomes if outcome.trouble]
    for outcome in troubles:
        print(f"demo: {outcome.letter.recipient} {outcome.trouble}", file=sys.stderr)
    if not troubles:
        print(f"\nEach of {len(outcomes)} agents was woken on its own host and nowhere else.")
    first = outcomes[0].letter
    print(HINTS.format(host=first.host, sender=first.sender, recipient=first.recipient))
    print("Dashboard, signed in by this link, once and within five minutes:\n")
    print(f"  {page.sign_in_link(up)}\n")
    print("If your browser cannot reach that address: make open\n")
    print(f"demo: {time.monotonic() - started:.0f} s in all")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
