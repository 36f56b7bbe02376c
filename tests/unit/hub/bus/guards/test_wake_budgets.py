"""Wake budgets in force, with a clock that a test moves."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.bus.guards.wake_budgets import BACKLOG, FLOOR_S, PASS_S, WakeBudgets
from agent_bus.core import states
from agent_bus.core.guards import policy
from agent_bus.core.guards.budgets import Meter
from agent_bus.core.guards.wakes import Wake
from agent_bus.core.model import AgentName, NodeName, Seq
from agent_bus.core.slices import InboxSlice
from agent_bus.runtime import greenlets
from agent_bus.store.cluster import ALONE, Alone
from tests.support.bus import admitted, bus_in, events
from tests.support.clock import FakeClock
from tests.support.patience import wait_until
from tests.support.store import ALPHA, BETA, GAMMA, ROSTER, draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core
    from agent_bus.store.cluster import Cluster

HOUR_S, DAY_S = 3600, 86_400


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def core(tmp_path: Path, clock: FakeClock) -> Iterator[Core]:
    with bus_in(tmp_path, clock=clock) as one:
        yield one


def allow(core: Core, **rules: Any) -> None:
    """Put a roster with these budgets, and none for the fleet unless they say so."""
    policies = {"budgets": policy.canonical({"fleet": None, **rules})}
    core.bus.put_roster(replace(ROSTER, policies=policies), force=True, dry_run=False)


def mail(core: Core, to: AgentName = BETA, *, rank: int = 2) -> None:
    core.bus.send(draft(to, sender=ALPHA, rank=rank))


def wake(core: Core, agent: AgentName = BETA, *, ago_s: float = 0) -> None:
    """A gateway has accepted a wake of an agent."""
    at = core.clock.now_ms() - int(ago_s * 1000)
    core.budgets.note_all([Wake(agent, Seq(1), at, states.WAKE)])


def held(core: Core) -> set[AgentName]:
    return set(core.gate.held)


def test_an_agent_over_its_hour_waits_until_the_window_frees_a_wake(
    core: Core, clock: FakeClock
) -> None:
    allow(core, agents={"beta": {"per_hour": 2}})
    wake(core)
    clock.advance(600)
    assert held(core) == set()
    wake(core)
    hold = core.gate.hold_of(BETA)
    assert hold is not None
    assert hold.until_at == clock.now_ms() + (HOUR_S - 600) * 1000
    clock.advance(HOUR_S - 601)
    core.budgets.refresh()
    assert held(core) == {BETA}
    clock.advance(1)
    core.budgets.refresh()
    assert held(core) == set()
    wake(core)
    assert held(core) == {BETA}, "the second wake is still within the hour"


def test_a_clock_that_is_set_changes_no_window(core: Core, clock: FakeClock) -> None:
    allow(core, agents={"beta": {"per_hour": 1}})
    wake(core)
    clock.jump(DAY_S)
    core.budgets.refresh()
    assert held(core) == {BETA}
    clock.advance(HOUR_S)
    core.budgets.refresh()
    assert held(core) == set()


def test_a_report_that_comes_late_counts_from_when_the_wake_was(
    core: Core, clock: FakeClock
) -> None:
    allow(core, agents={"beta": {"per_hour": 1}})
    wake(core, ago_s=HOUR_S + 1)
    assert held(core) == set()
    wake(core, ago_s=HOUR_S - 10)
    clock.advance(10)
    core.budgets.refresh()
    assert held(core) == set()


def test_the_strictest_of_fleet_group_and_agent_counts(core: Core) -> None:
    allow(core, fleet={"per_day": 3}, groups={"greeks": {"per_day": 2}})
    wake(core, ALPHA)
    wake(core, BETA)
    assert held(core) == {ALPHA, BETA}
    wake(core, GAMMA)
    assert held(core) == {ALPHA, BETA, GAMMA}
    assert [(one.who, one.day) for one in core.budgets.uses()] == [("all", 3), ("@greeks", 2)]
    assert core.budgets.spent_names() == ("all", "@greeks")


def test_urgent_mail_passes_for_one_wake_each_while_the_reserve_lasts(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    allow(core, agents={"beta": {"per_day": 1, "urgent_reserve": 2}})
    wake(core)
    mail(core)
    assert held(core) == {BETA}
    for _ in range(2):
        events(watcher)
        mail(core, rank=0)
        assert held(core) == set()
        assert [one.get("held") for _, one in events(watcher)][-1] is None
        wake(core)
        assert held(core) == {BETA}
    mail(core, rank=0)
    assert held(core) == {BETA}
    (use,) = core.budgets.uses()
    assert (use.day, use.urgent) == (1, 2)


def test_urgent_mail_of_an_agent_that_is_away_keeps_its_pass(core: Core, clock: FakeClock) -> None:
    allow(core, agents={"beta": {"per_day": 1, "urgent_reserve": 1}})
    wake(core)
    mail(core, rank=0)
    clock.advance(2 * PASS_S)
    core.budgets.refresh()
    assert held(core) == set()
    (found,) = core.store.inbox(InboxSlice(BETA, limit=1))
    core.bus.ack(BETA, ids=[found.message.id], up_to=None)
    clock.advance(2 * PASS_S)
    core.budgets.refresh()
    assert held(core) == {BETA}


def test_a_freed_wake_goes_to_who_has_waited_longest(core: Core, clock: FakeClock) -> None:
    allow(core, groups={"greeks": {"per_hour": 1}})
    wake(core, BETA)
    mail(core, BETA)
    clock.advance(5)
    mail(core, ALPHA)
    clock.advance(HOUR_S)
    core.budgets.refresh()
    passed = {ALPHA, BETA} - held(core)
    assert len(passed) == 1, "one wake is free, and two agents have mail"
    wake(core, passed.pop())
    assert held(core) == {ALPHA, BETA}


def test_who_does_not_need_the_freed_wake_leaves_it_to_the_next(
    core: Core, clock: FakeClock
) -> None:
    allow(core, groups={"greeks": {"per_hour": 1}})
    wake(core, BETA)
    mail(core, BETA)
    mail(core, ALPHA)
    clock.advance(HOUR_S)
    core.budgets.refresh()
    (waiting,) = held(core)
    clock.advance(PASS_S)
    core.budgets.refresh()
    assert waiting not in held(core)


def calls_of_a_report(core: Core, count: int) -> int:
    """How many functions a wake report calls in a fleet of so many agents."""
    agents = {AgentName(f"a{number}"): NodeName("n1") for number in range(count)}
    core.bus.put_roster(replace(ROSTER, agents=agents), force=True, dry_run=False)
    wake(core, AgentName("a0"))  # the greenlet that flushes is there
    found = 0

    def called(_frame: object, event: str, _arg: object) -> None:
        nonlocal found
        found += event in {"call", "c_call"}

    sys.setprofile(called)
    try:
        wake(core, AgentName("a1"))
    finally:
        sys.setprofile(None)
    return found


def test_a_report_costs_the_same_in_every_fleet_while_nobody_is_over(core: Core) -> None:
    assert calls_of_a_report(core, 1000) <= calls_of_a_report(core, 10) + 5


def test_a_look_asks_each_budget_once_however_many_agents_pass(
    core: Core, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = {AgentName(f"a{number}"): NodeName("n1") for number in range(100)}
    policies = {"budgets": policy.canonical({"fleet": {"per_hour": 1, "urgent_reserve": 60}})}
    core.bus.put_roster(
        replace(ROSTER, agents=agents, policies=policies), force=True, dry_run=False
    )
    wake(core, AgentName("a0"))
    assert len(held(core)) == 100
    asked = []
    real = Meter.frees_at

    def counted(self: Meter, now: float, *, besides: int = 0) -> float | None:
        asked.append(besides)
        return real(self, now, besides=besides)

    monkeypatch.setattr(Meter, "frees_at", counted)
    core.budgets.let_pass(agents)
    assert len(held(core)) == 40
    assert len(asked) <= 3
    clock.advance(HOUR_S)
    core.budgets.refresh()
    assert len(asked) <= 6


def test_other_hubs_wakes_count_and_are_told_once(core: Core, clock: FakeClock) -> None:
    allow(core, agents={"beta": {"per_hour": 2, "urgent_reserve": 1}})
    core.budgets.hear([("beta", 0, "wake"), ["beta", 0, "urgent"]])
    assert held(core) == set()
    core.budgets.hear([("beta", 1000, "reminder")])
    assert held(core) == {BETA}
    (use,) = core.budgets.uses()
    assert (use.hour, use.urgent) == (2, 1)
    assert core.budgets.take_untold() == (), "nobody else is there"


def restarted(core: Core, *, cluster: Cluster = ALONE) -> WakeBudgets:
    """What a hub makes of the store at its start."""
    return WakeBudgets(
        store=core.store,
        book=core.wake_book,
        directory=core.directory,
        gate=core.gate,
        counters=core.counters,
        clock=core.clock,
        cluster=cluster,
    )


def test_urgent_mail_of_before_a_restart_still_passes(core: Core) -> None:
    allow(core, agents={"beta": {"per_day": 0, "urgent_reserve": 1}})
    mail(core, rank=0)
    assert held(core) == set()
    core.gate.replace("budgets", {})
    again = restarted(core)
    assert held(core) == {BETA}, "nobody remembers the pass"
    again.start()
    wait_until(lambda: not held(core), "it passes", pause=greenlets.sleep)


class Plural(Alone):
    """A hub that is not alone."""

    is_plural = True  # type: ignore[misc]


def test_hubs_tell_each_other_how_long_ago_a_wake_was(core: Core, clock: FakeClock) -> None:
    allow(core, agents={"beta": {"per_hour": 1}})
    other = restarted(core, cluster=Plural())
    other.note_all([Wake(BETA, Seq(1), clock.now_ms() - 2000, states.WAKE)])
    clock.jump(-HOUR_S - 1)  # as if the hubs' clocks differed by that
    clock.advance(1)
    told = other.take_untold()
    assert told == ((BETA, 3000, states.WAKE),)
    core.gate.replace("budgets", {})
    core.budgets.hear(told)
    hold = core.gate.hold_of(BETA)
    assert hold is not None
    assert hold.until_at == clock.now_ms() + (HOUR_S - 3) * 1000


def test_a_wake_that_another_hub_was_told_of_uses_up_the_pass(core: Core) -> None:
    allow(core, agents={"beta": {"per_day": 1, "urgent_reserve": 1}})
    wake(core)
    mail(core, rank=0)
    assert held(core) == set()
    core.budgets.hear([(BETA, 0, states.WAKE)])
    assert held(core) == {BETA}
    mail(core, rank=0)
    assert held(core) == {BETA}, "the reserve is used"


def test_urgent_mail_that_found_no_reserve_passes_when_it_frees(
    core: Core, clock: FakeClock
) -> None:
    allow(core, agents={"beta": {"per_day": 0, "urgent_reserve": 1}})
    mail(core, rank=0)
    wake(core)
    clock.advance(60)
    mail(core, rank=0)
    core.budgets.refresh()
    assert held(core) == {BETA}
    clock.advance(DAY_S - 61)
    core.budgets.refresh()
    assert held(core) == {BETA}
    clock.advance(1)
    core.budgets.refresh()
    assert held(core) == set()
    wake(core)
    assert held(core) == {BETA}


def test_reports_of_more_wakes_than_a_watcher_can_cause_do_not_count(
    core: Core, clock: FakeClock
) -> None:
    allow(core, fleet={"per_hour": 600})
    for number in range(1000):
        wake(core, ago_s=number % 7)
    assert held(core) == set()
    assert core.budgets.uses()[0].hour == BACKLOG
    clock.advance(2 * FLOOR_S)
    for _ in range(10):
        wake(core)
    assert core.budgets.uses()[0].hour == BACKLOG + 2
    wake(core, ALPHA)
    assert core.budgets.uses()[0].hour == BACKLOG + 3
    assert sum(core.budgets.totals.values()) == BACKLOG + 3


def test_a_late_report_of_an_earlier_wake_leaves_the_pass(core: Core, clock: FakeClock) -> None:
    allow(core, agents={"beta": {"per_day": 1, "urgent_reserve": 1}})
    wake(core)
    clock.advance(10)
    mail(core, rank=0)
    wake(core, ago_s=5)
    assert held(core) == set()
    wake(core)
    assert held(core) == {BETA}


def test_a_restart_gives_no_new_budget(core: Core, clock: FakeClock) -> None:
    allow(core, agents={"beta": {"per_hour": 2}})
    wake(core)
    wake(core)
    core.budgets.flush()
    wait_until(lambda: sum(one.count for one in core.wake_book.counts(since=0)) == 2)
    clock.advance(HOUR_S / 2)
    core.gate.replace("budgets", {})
    again = restarted(core)
    assert held(core) == {BETA}
    clock.advance(HOUR_S / 2 + 60)
    again.refresh()
    assert held(core) == set()


def test_a_change_of_the_rules_counts_at_once_with_what_was_used(core: Core) -> None:
    wake(core)
    wake(core)
    allow(core, agents={"beta": {"per_hour": 2}})
    assert held(core) == {BETA}
    allow(core, agents={"beta": {"per_hour": 3}})
    assert held(core) == set()
    allow(core, agents={"beta": {"per_hour": 0}})
    assert held(core) == {BETA}
    allow(core)
    assert held(core) == set()


def test_guests_have_no_budget(core: Core) -> None:
    policies = {"budgets": policy.canonical({"fleet": {"per_day": 0}})}
    guests = frozenset({ROSTER.agents[GAMMA]})
    core.bus.put_roster(
        replace(ROSTER, policies=policies, guests=guests), force=True, dry_run=False
    )
    assert held(core) == {ALPHA, BETA}
