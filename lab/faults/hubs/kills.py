"""Kills at random: processes and hosts, one after the other, by a seed that repeats them."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.paths import LabError
from lab.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.faults.hubs.fleet import HubsFleet

POSTMASTER: Final = "$(head -n 1 /var/lib/agent-bus-postgres/data/postmaster.pid)"
PROCESSES: Final = {
    "hub": "systemctl kill --signal=KILL agent-bus",
    "Patroni": "systemctl kill --kill-who=main --signal=KILL agent-bus-database",
    "PostgreSQL": f"kill -KILL {POSTMASTER} || true",
    "etcd": "systemctl kill --signal=KILL agent-bus-etcd",
    "watcher": "systemctl kill --signal=KILL bus-watcher || true",
}
PAUSE_S: Final = (2.0, 25.0)
DARK_S: Final = (1.0, 30.0)


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill, after a pause; `dark_s` is how long a host has no power, 0 for a process."""

    after_s: float
    host: str
    what: str
    dark_s: float = 0.0


def plan(hubs: Sequence[str], seed: int, lasts_s: float) -> Iterator[Kill]:
    """Return kills for about this time; the same seed gives the same ones.

    One host at a time loses power, but nothing waits until it has recovered.
    """
    dice = random.Random(seed)  # noqa: S311 - chooses what dies, no secret
    spent = 0.0
    while spent < lasts_s:
        after_s, host = dice.uniform(*PAUSE_S), dice.choice(hubs)
        what = dice.choice([*PROCESSES, "host"])
        dark_s = dice.uniform(*DARK_S) if what == "host" else 0.0
        spent += after_s + dark_s
        yield Kill(round(after_s, 1), host, what, round(dark_s, 1))


def carry_out(fleet: HubsFleet, kills: Iterator[Kill], deadline: float) -> int:
    """Kill until the plan or the time is over; return how many died."""
    count = 0
    for kill in kills:
        if time.monotonic() + kill.after_s > deadline:
            break
        time.sleep(kill.after_s)
        say(f"faults-hubs: {time.strftime('%H:%M:%S')} {kill.host}: {kill.what} killed")
        count += 1
        if kill.what == "host":
            fleet.kill_hosts(kill.host)
            time.sleep(kill.dark_s)
            fleet.start_hosts(kill.host)
            continue
        try:
            fleet.on(kill.host, PROCESSES[kill.what])
        except LabError:
            say(f"faults-hubs: {kill.host} has not booted yet, so nothing was killed there")
            count -= 1
    return count
