"""Which ladder an urgent message climbs."""

from __future__ import annotations

from typing import Any

import pytest

from agent_bus.core import errors
from agent_bus.core.guards import policy
from agent_bus.core.guards.escalation import (
    MINUTE_MS,
    NAME,
    Rules,
    Step,
    ladder,
    named_by_sender,
    own_step,
    rules_of,
)
from agent_bus.core.model import OPERATOR, AgentName, NodeName, Roster

ALPHA, BETA = AgentName("alpha"), AgentName("beta")


def step(minutes: int, target: str) -> Step:
    return Step(minutes * MINUTE_MS, target)


RULES = Rules(
    default=(step(30, "operator"),),
    groups={"web": (step(10, "@oncall"),), "db": (step(5, "dba"), step(20, "@oncall"))},
    agents={"alpha": (step(7, "beta"), step(9, "operator")), "quiet": ()},
)


def test_the_most_exact_rules_count() -> None:
    assert ladder(ALPHA, RULES, ["web"]) == (step(7, "beta"), step(9, "operator"))
    assert ladder(BETA, RULES, []) == (step(30, "operator"),)
    assert ladder(AgentName("quiet"), RULES, ["web"]) == ()


def test_the_ladders_of_all_groups_are_joined_and_each_target_is_told_once() -> None:
    found = ladder(BETA, RULES, ["web", "db"])
    assert found == (step(5, "dba"), step(10, "@oncall"), step(20, "operator"))


def test_a_ladder_ends_with_the_operator() -> None:
    rules = Rules(groups={"web": (step(10, "@oncall"),)})
    assert ladder(BETA, rules, ["web"]) == (step(10, "@oncall"), step(20, "operator"))
    assert ladder(BETA, rules, []) == ()


def test_a_sender_adds_a_step() -> None:
    own = step(3, "gamma")
    assert ladder(BETA, Rules(), [], own=own) == (own, step(6, "operator"))
    assert ladder(ALPHA, RULES, [], own=step(8, "beta")) == ladder(ALPHA, RULES, [])
    assert ladder(BETA, Rules(), [], own=step(3, "beta")) == ()


def test_the_operator_s_own_mail_has_no_default_ladder() -> None:
    assert ladder(OPERATOR, RULES, []) == ()
    rules = Rules(agents={"operator": (step(15, "@oncall"),)})
    assert ladder(OPERATOR, rules, []) == (step(15, "@oncall"),)


def test_rules_come_with_the_roster() -> None:
    said = {"default": [{"after_min": 30, "to": "operator"}], "agents": {"alpha": []}}
    nodes = {ALPHA: NodeName("n1")}
    found = rules_of(Roster(agents=nodes, policies={NAME: policy.canonical(said)}))
    assert found == Rules(default=(step(30, "operator"),), agents={"alpha": ()})
    assert rules_of(Roster(agents=nodes)) == Rules()


def test_a_message_names_one_step() -> None:
    assert own_step({"escalate": {"to": "@oncall", "after_min": 5}}, rank=0) == step(5, "@oncall")
    assert own_step({"escalate": {"to": "beta"}}, rank=0) == step(10, "beta")
    for other in ({}, {"escalate": "please"}, {"escalate": {"when": "now"}}):
        assert own_step(other, rank=2) is None


@pytest.mark.parametrize(
    ("said", "rank", "field"),
    [
        ({"to": "beta"}, 1, "priority"),
        ({"to": "Beta!"}, 0, "data.escalate.to"),
        ({"to": ["beta"]}, 0, "data.escalate.to"),
        ({"to": "beta", "after_min": 0}, 0, "data.escalate.after_min"),
        ({"to": "beta", "after_min": "5"}, 0, "data.escalate.after_min"),
        ({"to": "beta", "after_min": True}, 0, "data.escalate.after_min"),
        ({"to": "beta", "after_min": 10_081}, 0, "data.escalate.after_min"),
        ({"to": "beta", "after": 5}, 0, "data.escalate"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(
    said: dict[str, Any], rank: int, field: str
) -> None:
    with pytest.raises(errors.InvalidRequestError) as refused:
        own_step({"escalate": said}, rank=rank)
    assert refused.value.field == field


def test_what_an_older_release_stored_under_this_name_is_no_step() -> None:
    assert named_by_sender('{"escalate":{"to":"Somebody Else"}}') is None
    assert named_by_sender(None) is None
    assert named_by_sender('{"escalate":{"to":"beta"}}') == step(10, "beta")
