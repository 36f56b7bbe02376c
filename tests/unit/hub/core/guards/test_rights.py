from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent_bus.core.guards import rights
from agent_bus.core.guards.policy import canonical
from agent_bus.core.model import OPERATOR, AgentName, NodeName, Roster

AGENTS = ("ann", "ben", "cal", "dan", "eve")
GROUPS = {"staff": ("ann", "ben"), "guests": ("dan",), "none": ()}
NAMES = ("all", *AGENTS, *(f"@{group}" for group in GROUPS))

sides = st.lists(st.sampled_from(NAMES), max_size=3)
rule_sets = st.lists(st.fixed_dictionaries({"from": sides.filter(len), "to": sides}), max_size=5)


def rights_of(*rules: dict[str, Any]) -> rights.Rights:
    return rights.compiled(
        Roster(
            agents={AgentName(name): NodeName("n1") for name in AGENTS},
            groups={g: tuple(map(AgentName, members)) for g, members in GROUPS.items()},
            policies={"rights": canonical(list(rules))} if rules else {},
        )
    )


def model_says(rules: list[dict[str, list[str]]], sender: str, recipient: str) -> bool:
    """The rules as the documentation words them, asked one by one for one pair."""

    def means(side: list[str], agent: str) -> bool:
        for word in side:
            if word in {"all", agent}:
                return True
            if word[0] == "@" and agent in GROUPS[word[1:]]:
                return True
        return False

    if recipient in {sender, "operator"} or sender == "operator":
        return True
    about_sender = [rule for rule in rules if means(rule["from"], sender)]
    return not about_sender or any(means(rule["to"], recipient) for rule in about_sender)


@given(rule_sets)
def test_compiled_rules_say_what_the_plain_ones_say(rules: list[dict[str, list[str]]]) -> None:
    found = rights_of(*rules)
    everybody = [AgentName(name) for name in (*AGENTS, OPERATOR)]
    for sender in everybody:
        for recipient in everybody:
            expected = model_says(rules, sender, recipient)
            assert found.may(sender, recipient) == expected, (sender, recipient)


@given(rule_sets, st.sets(st.sampled_from(AGENTS), min_size=1))
def test_what_is_shown_to_a_token_is_what_its_agents_may_write_to(
    rules: list[dict[str, list[str]]], own: set[str]
) -> None:
    seen = rights_of(*rules).visible(sorted(map(AgentName, own)))
    shown = set(AGENTS) if seen is None else set(seen)
    may = {to for to in AGENTS for one in own if model_says(rules, one, to)}
    assert shown == may


def test_without_rules_nothing_is_kept_that_a_send_would_have_to_look_at() -> None:
    assert not rights_of().reach
    assert not rights_of({"from": ["all"], "to": ["all"]}).reach


def test_agents_with_the_same_rules_share_one_set() -> None:
    reach = rights_of({"from": ["all"], "to": ["@staff"]}).reach
    assert len({id(names) for names in reach.values()}) == 1


def test_a_rule_is_called_by_its_number_and_its_name() -> None:
    named = {"from": ["ann"], "to": [], "name": "quiet"}
    found = rights_of({"from": ["all"], "to": ["all"]}, named)
    assert [rule.label for rule in found.deciding[AgentName("ann")]] == [
        "rule 1",
        "rule 2 (quiet)",
    ]


def test_names_of_nobody_are_found() -> None:
    names = ["all", "ann", "@staff", "bob", "@cooks", "@all", "bus"]
    assert rights.strangers(names, AGENTS, GROUPS) == ["bob", "@cooks", "@all", "bus"]
