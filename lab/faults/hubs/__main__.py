"""Break a fleet of three hubs in every way of docs/explanation/faults.md, under traffic.

`make faults-hubs` makes the fleet, rolls it out, and runs the faults that ROWS names, or all. Each
fault leaves the fleet as it was; a failed one leaves its logs in .cache/faults-hubs/.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from lab.faults.hubs.acts import QUIET, HubActs
from lab.faults.hubs.clients import Clients
from lab.faults.hubs.database_acts import DatabaseActs
from lab.faults.hubs.event_source import MODULES, EventSource
from lab.faults.hubs.fleet import HubsFleet
from lab.faults.hubs.trial import HubsTrial
from lab.faults.hubs.witness import Witness
from lab.faults.report import HUBS_HEAD, Report
from lab.fleet import making, plays, standing
from lab.paths import ROOT, LabError
from lab.probe.running import RunningFleet
from lab.progress import say
from tests.support import patience

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lab.faults.hubs.trial import HubsFault

INVENTORY = ROOT / "tests" / "inventories" / "three-hubs"
NAME = "faults-hubs"
MINUTES = 3.0
LOCKS = ("deadlock detected", "still waiting for")


class Makers(NamedTuple):
    """What makes the faults of one run."""

    hubs: HubActs
    database: DatabaseActs
    seed: int
    minutes: float


ROWS: dict[str, Callable[[Makers], HubsFault]] = {
    "hub-killed": lambda make: make.hubs.hub_killed(),
    "hub-beside-primary-killed": lambda make: make.hubs.hub_beside_primary_killed(),
    "postgres-killed": lambda make: make.database.postgres_killed(),
    "patroni-killed": lambda make: make.database.patroni_killed(),
    "patroni-stopped": lambda make: make.database.patroni_stopped(),
    "primary-host-killed": lambda make: make.hubs.primary_host_killed(),
    "primary-cut": lambda make: make.hubs.primary_cut(),
    "standby-lost": lambda make: make.hubs.standby_lost(),
    "two-hosts-lost": lambda make: make.hubs.two_hosts_lost(),
    "power-lost": lambda make: make.hubs.power_lost(),
    "etcd-disk-full": lambda make: make.database.etcd_disk_full(),
    "connection-hung": lambda make: make.database.connection_hung(),
    "primary-unreachable": lambda make: make.database.primary_unreachable(),
    "switchover": lambda make: make.database.switchover(),
    "upgrade": lambda make: make.hubs.upgrade(),
    "random-kills": lambda make: make.hubs.random_kills(make.seed, make.minutes),
}
"""The faults by the names that ROWS has for them, in their order."""


def main() -> int:
    """Run the faults; return 1 if one of them did not go as promised."""
    parser = argparse.ArgumentParser(prog="python -m lab.faults.hubs", description=__doc__)
    parser.add_argument("--name", default=NAME, help=f"name of the fleet (default: {NAME})")
    parser.add_argument("--rows", nargs="*", default=[], choices=ROWS, help="only these faults")
    parser.add_argument("--seed", type=int, default=None, help="of everything that is random")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of random kills")
    parser.add_argument("--keep", action="store_true", help="leave the fleet there")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    try:
        roll_out(given.name)
        return run(given.name, given.rows, seed=seed, minutes=given.minutes)
    except (LabError, AssertionError) as error:
        say(f"faults-hubs: {error}")
        return 1
    finally:
        if not given.keep:
            making.down(given.name)


def roll_out(name: str) -> None:
    """Make the fleet.

    Raises:
        LabError: the rollout failed.
    """
    up = making.up(name, [INVENTORY])
    if plays.play(up, ROOT / "site.yml", settings=QUIET):
        raise LabError("the rollout failed, see above")


def run(name: str, wanted: Sequence[str], *, seed: int, minutes: float) -> int:
    """Run faults on a fleet that was rolled out."""
    folder = ROOT / ".cache" / NAME
    shutil.rmtree(folder, ignore_errors=True)
    fleet = HubsFleet(RunningFleet(standing.recall(name).name))
    sources = event_sources(fleet, folder)
    clients = Clients(fleet.urls, fleet.places(), seed=seed, event_sources=sources)
    look = Witness(fleet, clients)
    make = Makers(HubActs(fleet, look), DatabaseActs(fleet, look), seed, minutes)
    report = Report(ROOT / ".cache", name=NAME, head=HUBS_HEAD)
    trial = HubsTrial(fleet, clients, folder)
    listen = "npm's EventSource listens, too" if sources else "no Node: nothing listens by npm's"
    say(f"faults-hubs: seed {seed}; {listen}; {patience.header()}")
    began, failed = time.time(), []
    clients.start()
    try:
        for row in wanted or ROWS:
            trial.rest()
            result = trial.run(ROWS[row](make))
            failed += [row] if result.trouble else []
            report.add([result], note=f"Seed {seed}.")
        locks = fleet.words_in_logs(LOCKS, began)
        deadlocks = [line for line in locks if LOCKS[0] in line]
        note = f"PostgreSQL logged {len(deadlocks)} deadlocks, {len(locks)} waits over 1 s."
        report.add([], note=f"Seed {seed}. {note}")
    finally:
        clients.stop()
    for line in (note, *locks[:5], *(f"FAILED {row}" for row in failed)):
        say(f"faults-hubs: {line}")
    return 1 if failed or deadlocks else 0


def event_sources(fleet: HubsFleet, folder: Path) -> list[EventSource]:
    """Return a program of npm's EventSource per hub; none without Node."""
    if shutil.which("node") is None or not MODULES.is_dir():
        return []
    place = max(fleet.places(), key=lambda one: len(one.agents))
    return [
        EventSource(place, hub, url, folder / "event-source") for hub, url in fleet.urls.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
