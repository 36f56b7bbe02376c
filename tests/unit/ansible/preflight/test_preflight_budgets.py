"""The wake budgets: what is wrong with them, and where."""

from __future__ import annotations

from typing import Any

import pytest

GOOD = """\
all:
  vars:
    guests:
      laptop-anna: [anna-claude]
    agent_groups:
      pair: [alpha, anna-claude]
    wake_budgets:
      fleet: {per_hour: 300, per_day: 2000, urgent_reserve: 100}
      groups:
        pair: {per_day: 20}
      agents:
        alpha: {per_hour: 5}
        beta:
          per_day: 0
          urgent_reserve: 3
hub:
  hosts:
    box:
nodes:
  hosts:
    box:
      agents: [alpha]
    mini:
      agents: [{name: beta}]
"""


def test_the_fleet_groups_and_agents_may_have_budgets(check: Any) -> None:
    assert check(GOOD) == []


@pytest.mark.parametrize("fleet", ["false", "null", "{per_day: 1}"])
def test_the_fleet_may_have_none(check: Any, fleet: str) -> None:
    given = "{per_hour: 300, per_day: 2000, urgent_reserve: 100}"
    assert check(GOOD.replace(f"fleet: {given}", f"fleet: {fleet}")) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("alpha: {per", "alpa: {per", "hosts.yml:12: wake_budgets has 'alpa' in agents, which"),
        ("alpha: {per", "alpa: {per", "did you mean 'alpha'?"),
        ("        pair: {", "        par: {", "hosts.yml:10: wake_budgets has 'par' in groups"),
        ("alpha: {per", "anna-claude: {per", "an agent of a guest: the bus wakes no guest"),
        ("alpha: {per", "pair: {per", "has the group 'pair' in agents; write `groups: {pair:"),
        ("      fleet:", "      flet:", "hosts.yml:8: wake_budgets has 'flet', which is not one"),
        ("{per_hour: 5}", "{perhour: 5}", "an unknown figure 'perhour' for agents alpha; did you"),
        ("{per_hour: 5}", "{per_hour: -5}", "per_hour -5 for agents alpha, not a whole number"),
        ("{per_hour: 5}", "{per_hour: many}", "per_hour 'many' for agents alpha, not a whole"),
        ("{per_hour: 5}", "{per_hour: true}", "per_hour True for agents alpha, not a whole"),
        ("{per_hour: 5}", "5", "has 5 for agents alpha, not figures like"),
        ("{per_hour: 5}", "{urgent_reserve: 5}", "a reserve for agents alpha but no budget"),
        ("{per_day: 20}", "{per_day: 20, urgent_reserve: 21}", "more than its per_day 20"),
        ("{per_day: 20}", "{per_hour: 30, per_day: 20}", "per_hour 30 for groups pair, more"),
        ("          per_day: 0", "          per_day: x", "hosts.yml:14: wake_budgets has per_day"),
    ],
)
def test_a_mistake_is_named_with_its_place(check: Any, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    (error,) = check(GOOD.replace(old, new))
    assert expected in error


def test_budgets_that_are_no_mapping_are_told_how_they_look(check: Any) -> None:
    head, rest = GOOD.split("    wake_budgets:\n")
    (error,) = check(f"{head}    wake_budgets: [chef]\n{rest[rest.index('hub:') :]}")
    assert "hosts.yml:7: wake_budgets is ['chef'], not a mapping like `{fleet:" in error
