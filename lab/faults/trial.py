"""Faults under traffic: begin, wait, end, wait until the fleet has healed itself, then count.

Faults of one group overlap, each with its own end. The end undoes only what the fault itself did:
a rule is deleted, a container thawed. Everything else has to recover by itself.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.faults.report import Row
from lab.probe.running import until
from lab.traffic.ledger import Ledger
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from lab.probe.running import RunningFleet
    from lab.traffic.hosts import Traffic
    from lab.traffic.ledger import Accepted

HEAL_S = 120
DELIVER_S = 180
"""An agent is woken once per 12 s, and a turn shows it 20 kB."""
LOOK_S = 0.25
AWAY = "no answer"


def nothing() -> None:
    """Do nothing: what the fault broke has to recover by itself."""


@dataclass(slots=True)
class Fault:
    """One fault.

    Attributes:
        agents: those whose status is watched.
        begin: starts it; after `lasts_s` comes `end`, which undoes what was done, if anything.
        check: checks, during the fault, what has to go on working.
        shows: a status that the hub has to show of the agents at some time before it has healed.
        only: whether the hub must never show another one.
    """

    name: str
    done: str
    agents: Sequence[str]
    begin: Callable[[], None]
    end: Callable[[], None] = nothing
    lasts_s: float = 0.0
    check: Callable[[], None] = nothing
    shows: str = ""
    only: bool = False
    began: float = 0.0
    ended: float | None = None
    healed: float | None = None
    seen: list[str] = field(default_factory=list)


class Trial:
    """Runs groups of faults on a fleet under traffic."""

    def __init__(self, running: RunningFleet, traffic: Traffic) -> None:
        self._running = running
        self._traffic = traffic

    def run(self, faults: Sequence[Fault]) -> list[Row]:
        """Run faults side by side and return a row for each, healed or not."""
        for fault in faults:
            fault.began = time.time()
            fault.begin()
            if fault.end is nothing and not fault.lasts_s:
                fault.ended = time.time()
        going_on = list(faults)
        while going_on := [fault for fault in going_on if not self._step(fault)]:
            time.sleep(LOOK_S)
        return self._count(faults)

    def _step(self, fault: Fault) -> bool:
        """Look once; return whether we are done with the fault, healed or not."""
        statuses = self._statuses(fault.agents)
        fault.seen += [one for one in statuses if one not in fault.seen]
        now = time.time()
        if fault.ended is None:
            if now - fault.began < fault.lasts_s:
                return False
            fault.check()
            fault.end()
            fault.ended = time.time()
        elif fault.healed is None and not (fault.shows and fault.shows not in fault.seen):
            fault.healed = self._when_healed(fault, statuses)
        return fault.healed is not None or now - fault.ended > patience(HEAL_S)

    def _when_healed(self, fault: Fault, statuses: Collection[str]) -> float | None:
        if set(statuses) != {"online"}:
            return None
        try:
            self._running.api("/readyz")
            results = self._running.probe(fault.agents)
        except OSError:
            return None
        return time.time() if all(result["ok"] for result in results) else None

    def _statuses(self, agents: Sequence[str]) -> list[str]:
        try:
            known = self._running.api("/api/agents")["agents"]
        except OSError:
            return [AWAY]
        return sorted({agent["status"] for agent in known if agent["name"] in agents})

    def _count(self, faults: Sequence[Fault]) -> list[Row]:
        """Wait until all accepted messages are delivered, and judge each fault's share."""
        ledger = self._settled([one for one in self._traffic.accepted() if one.at <= time.time()])
        trouble = [ledger.verdict().words(), self._unreachable()]
        return [_row(fault, ledger, trouble) for fault in faults]

    def _settled(self, accepted: Sequence[Accepted]) -> Ledger:
        """Return the ledger once all is delivered, or when the time is over."""
        ledger = Ledger(accepted)

        def all_delivered() -> bool:
            nonlocal ledger
            with contextlib.suppress(OSError):
                ledger = Ledger(accepted, self._traffic.stored(), self._traffic.heard())
            return ledger.verdict().delivered == len(accepted)

        with contextlib.suppress(AssertionError):  # the verdict says what is missing
            until(all_delivered, seconds=DELIVER_S, what="all is delivered")
        return ledger

    def _unreachable(self) -> str:
        """Return which agents of the fleet cannot be reached in the end, and why."""
        everybody = [name for names in self._running.who.agents.values() for name in names]
        try:
            results = self._running.probe(everybody)
        except OSError as error:
            return f"the hub does not answer: {error}"
        return ", ".join(f"{one['agent']}: {one['reason']}" for one in results if not one["ok"])


def _row(fault: Fault, ledger: Ledger, trouble: Sequence[str]) -> Row:
    """Return the row of one fault; it counts what was accepted from its start until it healed."""
    now = time.time()
    ended, last = fault.ended or now, fault.healed or now
    verdict = ledger.verdict(fault.began, last)
    return Row(
        fault=fault.name,
        done=fault.done,
        lasted_s=round(ended - fault.began, 1),
        seen=tuple(fault.seen),
        accepted=verdict.accepted,
        delivered=verdict.delivered,
        doubled=len(verdict.doubled),
        healed_s=None if fault.healed is None else round(fault.healed - ended, 1),
        trouble="; ".join(words for words in (*trouble, *_unlike(fault)) if words),
    )


def _unlike(fault: Fault) -> list[str]:
    """Return how a fault differed from what was expected."""
    found = []
    if fault.healed is None:
        found.append(f"not healed within {patience(HEAL_S):.0f} s")
    if fault.shows and fault.shows not in fault.seen:
        found.append(f"never shown as {fault.shows}")
    if fault.only and set(fault.seen) != {fault.shows}:
        found.append(f"shown as {', '.join(fault.seen)}")
    return found
