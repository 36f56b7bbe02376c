"""The table of wakes on the latency page."""

from __future__ import annotations

from agent_bus.core.guards.budgets import Budget, Use
from agent_bus.core.guards.wakes import DAY_MS, HOUR_MS, WakeCount
from agent_bus.dashboard.measures import budget_words, wake_rows
from tests.support.store import ALPHA, BETA


def test_agents_with_most_wakes_stand_first_with_who_caused_them() -> None:
    counts = [
        WakeCount(DAY_MS, ALPHA, "beta", "wake", 1),
        WakeCount(DAY_MS + HOUR_MS, BETA, "alpha", "wake", 6),
        WakeCount(2 * DAY_MS, BETA, "operator", "urgent", 1),
        WakeCount(2 * DAY_MS + 1, BETA, "", "reminder", 1),
    ]
    beta, alpha = wake_rows(counts, [DAY_MS, 2 * DAY_MS])
    assert (beta["agent"], alpha["agent"]) == (BETA, ALPHA)
    assert beta["cells"] == [{"count": 6, "heat": 4}, {"count": 2, "heat": 2}]
    assert alpha["cells"] == [{"count": 1, "heat": 1}, {"count": 0, "heat": 0}]
    assert beta["causes"] == "alpha (6), unknown (1), operator (1)"


def test_without_wakes_there_are_no_rows() -> None:
    assert wake_rows([], [DAY_MS]) == []


def test_a_budget_is_told_by_the_figures_that_it_has() -> None:
    use = Use("fleet", "", Budget(per_day=9, urgent_reserve=2), hour=3, day=4, urgent=1)
    assert budget_words(use) == "4 of 9 in 24 h"
