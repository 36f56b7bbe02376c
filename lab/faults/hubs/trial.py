"""Runs one fault after the other on a fleet of several hubs under traffic, and judges each.

A fault begins, lasts, and ends. Its end undoes only what the fault itself did: a rule is deleted,
power comes back. Everything else has to recover by itself. Then the senders pause, and once all
has arrived the books are compared: what was accepted, what is stored, what each listener heard.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.faults.hubs import books
from lab.faults.hubs.books import Verdict, judge
from lab.faults.report import HubsRow
from lab.faults.trial import Fault, nothing
from lab.paths import LabError
from lab.probe.running import until
from lab.progress import doing, say
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.faults.hubs.books import Failed, Sent
    from lab.faults.hubs.clients import Clients, Notes
    from lab.faults.hubs.fleet import HubsFleet

WHOLE_S = 180.0
"""A member that comes back copies the database anew, at worst."""
ARRIVE_S = 120.0
LOOK_S = 0.5
BEFORE_S = 3.0
"""Of quiet traffic before each fault."""
LEASE_S = 20
TAKEOVER_S = 30.0
"""Patroni's lease of 20 s, an election, and a promotion."""
CUT_S = 60.0
IN_FLIGHT_S = 1.0
"""An answer that was on its way when a fault began may still come."""
MOVE_S = 15.0
"""The death of a host is noticed within 8 s."""


@dataclass(slots=True)
class HubsFault:
    """A fault, and what has to go on while it lasts.

    Attributes:
        fault: what is done and undone; `check` looks at what has to go on meanwhile.
        victims: hubs whose clients have to find another one.
        silent: hubs that must accept nothing while the fault lasts.
        pause_s: how long no send may be accepted, on a quiet machine; None for no limit.
        move_s: how long clients of the victims may take.
        others_stay: no stream at another hub may end.
        after: puts back what was changed for the fault's sake, once all is judged.
        refuses: problems that a send may be answered with; "no answer" is always allowed.
    """

    fault: Fault
    victims: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    pause_s: float | None = None
    move_s: float = MOVE_S
    others_stay: bool = True
    after: Callable[[], object] = nothing
    refuses: tuple[str, ...] = ("no_primary", "commit_unknown")


def fault(
    name: str,
    done: str,
    begin: Callable[[], object],
    end: Callable[[], object] = nothing,
    *,
    lasts_s: float = 0.0,
    check: Callable[[], object] = nothing,
) -> Fault:
    """Return a fault whose agents nobody watches; what its functions return is dropped."""
    return Fault(
        name,
        done,
        (),
        _dropping(begin),
        _dropping(end),
        lasts_s=lasts_s,
        check=_dropping(check),
    )


def _dropping(call: Callable[[], object]) -> Callable[[], None]:
    def called() -> None:
        call()

    return called


class HubsTrial:
    """Runs faults; writes the logs of a failed one into a folder."""

    def __init__(self, fleet: HubsFleet, clients: Clients, folder: Path) -> None:
        self._fleet = fleet
        self._clients = clients
        self._folder = folder
        self._judged = 0
        """The highest seq that was judged with an earlier fault."""

    def rest(self) -> None:
        """Wait until the fleet is whole, and every listener is at its first hub.

        Raises:
            AssertionError: it is not, in time.
        """
        self._clients.pause()
        self._wait_until_whole()
        self._clients.wait_at_home()
        self._clients.go_on()
        time.sleep(BEFORE_S)

    def run(self, planned: HubsFault) -> HubsRow:
        """Run one fault and return its row, healed or not."""
        fault = planned.fault
        say(f"faults-hubs: {fault.name}: {fault.done}")
        trouble: list[str] = []
        broken = 0.0
        began = fault.began = time.time()
        try:
            fault.begin()
            broken = time.time()
            time.sleep(fault.lasts_s)
            fault.check()
        except (AssertionError, LabError, OSError) as error:
            trouble.append(f"while it lasted: {error}")
        silent_until = time.time()
        try:
            fault.end()
        except (AssertionError, LabError, OSError) as error:
            trouble.append(f"at its end: {error}")
        ended = fault.ended = time.time()
        with contextlib.suppress(AssertionError):
            self._wait_until_whole()
            fault.healed = time.time()
        if fault.healed is None:
            trouble.append(f"not whole: {self._fleet.ails()}")
        healed = time.time()
        verdict, notes = self._settled(began)
        trouble.append(verdict.words())
        share = _Share(notes, began, healed)
        if planned.silent and broken:
            trouble.append(_spoke(planned, share.sent, broken, silent_until))
        trouble += _unlike(planned, share)
        row = HubsRow(
            fault=fault.name,
            done=fault.done,
            lasted_s=round(ended - began, 1),
            pause_s=round(share.pause_s, 1),
            moved_s=_moved(planned, share),
            refused=share.refused,
            accepted=verdict.accepted,
            lost=len(verdict.lost),
            doubled=len(verdict.doubled),
            gaps=len(verdict.gaps) + len(verdict.disorder) + len(verdict.phantoms),
            healed_s=None if fault.healed is None else round(fault.healed - ended, 1),
            trouble="; ".join(words for words in trouble if words),
        )
        if row.trouble:
            self._keep(planned, notes, began)
        planned.after()
        say(f"faults-hubs: {fault.name}: {row.trouble or 'passed'} ({time.time() - began:.0f} s)")
        return row

    def _wait_until_whole(self) -> None:
        doing("waiting until the fleet is whole")
        until(lambda: not self._fleet.ails(), what="the fleet is whole", seconds=WHOLE_S)

    def _settled(self, began: float) -> tuple[Verdict, Notes]:
        """Pause the senders, and judge once everything has arrived or the time is over."""
        doing("waiting until all that was accepted has arrived")
        self._clients.pause()
        listeners = self._clients.agents()
        verdict, newest = Verdict(), self._judged

        def has_arrived() -> bool:
            nonlocal verdict, newest
            notes = self._clients.notes()
            try:
                stored = self._fleet.stored()
                unfetched = self._fleet.unfetched()
            except OSError:
                return False
            share = [one for one in notes.sent if one.at >= began]
            fresh = [one for one in stored if one.seq > self._judged]
            heard = [one for one in notes.heard if one.seq > self._judged]
            verdict = judge(share, fresh, heard, listeners)
            newest = max((one.seq for one in stored), default=0)
            return not verdict.words() and not unfetched

        with contextlib.suppress(AssertionError):  # the verdict says what is missing
            until(has_arrived, what="all has arrived", seconds=ARRIVE_S)
        if not verdict.words():
            with contextlib.suppress(OSError):
                if unfetched := self._fleet.unfetched():
                    verdict.lost.append(f"{unfetched} are not fetched")
        self._judged = newest
        return verdict, self._clients.notes()

    def _keep(self, planned: HubsFault, notes: Notes, began: float) -> None:
        folder = self._folder / planned.fault.name.replace(" ", "-").replace("'", "")
        self._fleet.save_logs(folder, began - BEFORE_S)
        (folder / "began.txt").write_text(f"{began}\n")
        for name in ("sent", "failed", "heard", "turns"):
            lines = "".join(f"{one}\n" for one in getattr(notes, name))
            (folder / f"{name}.txt").write_text(lines)


class _Share:
    """What the clients noted while one fault lasted and healed."""

    def __init__(self, notes: Notes, began: float, ended: float) -> None:
        self.began, self.ended = began, ended
        self.turns = notes.turns
        self.sent = [one for one in notes.sent if began <= one.at <= ended]
        self.pause_s = books.longest_pause(notes.sent, began, ended)
        failed = [one for one in notes.failed if began <= one.at <= ended]
        self.refused = dict(Counter(_code(one) for one in failed))


def _code(failed: Failed) -> str:
    return failed.problem if failed.status else "no answer"


def _moved(planned: HubsFault, share: _Share) -> float | None:
    found = books.moved_after(share.turns, planned.victims, share.began, share.ended)
    return None if found is None else round(found, 1)


def _spoke(planned: HubsFault, sent: list[Sent], broken: float, until_: float) -> str:
    """Return what hubs accepted that should not have."""
    wrong = [
        one.body
        for one in sent
        if one.hub in planned.silent and broken + IN_FLIGHT_S < one.at < until_
    ]
    hubs = " and ".join(planned.silent)
    return f"{hubs} accepted {len(wrong)}: {', '.join(wrong[:3])}" if wrong else ""


def _unlike(planned: HubsFault, share: _Share) -> list[str]:
    """Return how a fault differed from what was expected."""
    found = []
    if planned.pause_s is not None and share.pause_s > (allowed := patience(planned.pause_s)):
        found.append(f"nothing was accepted for more than {allowed:.0f} s")
    if planned.victims:
        moved = _moved(planned, share)
        if moved is None:
            found.append("clients of the hub that failed have no stream elsewhere")
        elif moved > (allowed := patience(planned.move_s)):
            found.append(f"clients took more than {allowed:.0f} s to another hub")
    if planned.others_stay:
        ends = books.disturbed(share.turns, planned.victims, share.began, share.ended)
        found += [f"{one.listener} lost its stream at {one.hub}: {one.why}" for one in ends[:3]]
    strange = set(share.refused) - {*planned.refuses, "no answer"}
    if strange:
        found.append(f"sends were answered {', '.join(sorted(strange))}")
    return found
