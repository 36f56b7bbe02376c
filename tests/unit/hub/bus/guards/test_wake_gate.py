"""What withholds wakes: agents that are held, and single deliveries."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from agent_bus.core import states
from agent_bus.core.guards.hold import Hold
from tests.support.bus import admitted, bus_in, events
from tests.support.store import ALPHA, BETA, draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core
    from agent_bus.core.model import Delivery, MailboxCounts


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    with bus_in(tmp_path) as one:
        yield one


class Urgent:
    """Holds what is not urgent."""

    def __init__(self) -> None:
        self.held: list[Delivery] = []

    def is_held(self, delivery: Delivery) -> bool:
        if delivery.message.rank == 0:
            return False
        self.held.append(delivery)
        return True

    def without_held(self, box: MailboxCounts) -> MailboxCounts:
        count = len(self.held)
        return dataclasses.replace(box, unfetched=box.unfetched - count, unread=box.unread - count)

    def counted(self, box: MailboxCounts) -> None:
        """Keep nothing."""


def test_a_held_agent_gets_its_mail_and_its_watcher_hears_of_the_hold(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    core.gate.replace("pause", {BETA: Hold(states.PAUSED)})
    core.bus.send(draft(sender=ALPHA))
    core.gate.replace("pause", {})
    told = [(kind, one.get("unfetched"), one.get("held")) for kind, one in events(watcher)]
    assert told == [
        ("mailbox", 0, "paused"),
        ("message", None, None),
        ("mailbox", 1, "paused"),
        ("mailbox", 1, None),
    ]


def test_a_hold_that_is_known_already_is_not_told_again(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    for _ in range(2):
        core.gate.replace("pause", {BETA: Hold(states.PAUSED, 1)})
    assert len(events(watcher)) == 1


def test_an_agent_is_held_until_the_last_guard_lets_it_go(core: Core) -> None:
    core.gate.replace("budget", {BETA: Hold(states.BUDGET, 5)})
    core.gate.replace("pause", {BETA: Hold(states.PAUSED)})
    assert core.gate.hold_of(BETA) == Hold(states.PAUSED)
    core.gate.replace("pause", {})
    assert core.gate.hold_of(BETA) == Hold(states.BUDGET, 5)
    core.gate.replace("budget", {})
    assert core.gate.hold_of(BETA) is None
    assert not core.gate.held


def test_all_holds_of_a_guard_are_replaced_at_once(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    core.gate.replace("pause", {BETA: Hold(states.PAUSED)})
    core.gate.replace("pause", {ALPHA: Hold(states.PAUSED)})
    assert core.gate.held == {ALPHA: Hold(states.PAUSED)}
    told = [(one["agent"], one["held"]) for _, one in events(watcher)]
    assert told[0] == ("beta", "paused")
    assert set(told[1:]) == {("alpha", "paused"), ("beta", None)}


def test_a_single_held_delivery_says_so_and_counters_leave_it_out(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    core.gate.add_withholder(Urgent())
    core.bus.send(draft(sender=ALPHA))
    core.bus.send(draft(sender=ALPHA, rank=0))
    told = [(kind, one.get("wake"), one.get("unfetched")) for kind, one in events(watcher)]
    assert told == [
        ("message", "held", None),
        ("mailbox", None, 0),
        ("message", None, None),
        ("mailbox", None, 1),
    ]
    assert core.fanout.mailbox_fields(BETA)["unfetched"] == 1
    assert core.counters.mailbox(BETA).unfetched == 2


def test_a_change_of_what_is_held_is_told_on_demand(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    core.gate.changed([BETA, ALPHA])
    assert [one["agent"] for _, one in events(watcher)] == ["beta", "alpha"]
