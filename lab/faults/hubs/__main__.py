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
from typing import TYPE_CHECKING

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
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lab.faults.hubs.trial import HubsFault

INVENTORY = ROOT / "tests" / "inventories" / "three-hubs"
NAME = "faults-hubs"
MINUTES = 3.0
LOCKS = ("deadlock detected", "still waiting for")


def rows_of(
    acts: HubActs, database: DatabaseActs, *, seed: int, minutes: float
) -> Mapping[str, Callable[[], HubsFault]]:
    """Return the faults by the names that ROWS has for them, in their order."""
    return {
        "hub-killed": acts.hub_killed,
        "hub-beside-primary-killed": acts.hub_beside_primary_killed,
        "postgres-killed": database.postgres_killed,
        "patroni-killed": database.patroni_killed,
        "patroni-stopped": database.patroni_stopped,
        "primary-host-killed": acts.primary_host_killed,
        "primary-cut": acts.primary_cut,
        "standby-lost": acts.standby_lost,
        "two-hosts-lost": acts.two_hosts_lost,
        "power-lost": acts.power_lost,
        "etcd-disk-full": database.etcd_disk_full,
        "connection-hung": database.connection_hung,
        "primary-unreachable": database.primary_unreachable,
        "switchover": database.switchover,
        "upgrade": acts.upgrade,
        "random-kills": lambda: acts.random_kills(seed, minutes),
    }


def main() -> int:
    """Run the faults; return 1 if one of them did not go as promised."""
    parser = argparse.ArgumentParser(prog="python -m lab.faults.hubs", description=__doc__)
    parser.add_argument("--name", default=NAME, help=f"name of the fleet (default: {NAME})")
    parser.add_argument("--rows", nargs="*", default=[], help="only these faults")
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
    fleet.keep_journals()
    sources = event_sources(fleet, folder)
    clients = Clients(fleet.urls, fleet.places(), seed=seed, event_sources=sources)
    look = Witness(fleet, clients)
    faults = rows_of(HubActs(fleet, look), DatabaseActs(fleet, look), seed=seed, minutes=minutes)
    if unknown := set(wanted) - set(faults):
        raise LabError(f"no fault {', '.join(sorted(unknown))}; there are {', '.join(faults)}")
    report = Report(ROOT / ".cache", name=NAME, head=HUBS_HEAD)
    trial = HubsTrial(fleet, clients, folder)
    listen = "npm's EventSource listens, too" if sources else "no Node: nothing listens by npm's"
    say(f"faults-hubs: seed {seed}; {listen}; {patience.header()}")
    began, failed = time.time(), []
    clients.start()
    try:
        for row in wanted or faults:
            trial.rest()
            result = trial.run(faults[row]())
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
