"""Whom a `to` means under the operator's rules, against a plain model of what the pages say."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent_bus.bus.directory import Directory
from agent_bus.core import errors
from agent_bus.core.guards.policy import canonical
from agent_bus.core.model import OPERATOR, Agent, AgentName, NodeName, Roster

NAMES = ("ann", "ben", "cal", "dan")
GROUPS: dict[str, tuple[str, ...]] = {"staff": ("ann", "ben"), "rest": ("cal", "dan"), "none": ()}
WORDS = (*NAMES, *(f"@{group}" for group in GROUPS))

sides = st.lists(st.sampled_from(("all", *WORDS)), max_size=3)
rule_sets = st.lists(st.fixed_dictionaries({"from": sides.filter(len), "to": sides}), max_size=4)
addresses = st.one_of(
    st.none(),
    st.sampled_from((*WORDS, "operator")),
    st.lists(st.sampled_from((*WORDS, "operator")), min_size=1, max_size=4),
)


def directory(rules: list[dict[str, Any]]) -> Directory:
    made = Directory()
    roster = Roster(
        agents={AgentName(name): NodeName("n1") for name in NAMES},
        groups={group: tuple(map(AgentName, of)) for group, of in GROUPS.items()},
        policies={"rights": canonical(rules)} if rules else {},
    )
    agents = [Agent(AgentName(name), NodeName("n1")) for name in NAMES]
    made.replace(roster, [*agents, Agent(OPERATOR, None)])
    return made


def members(word: str) -> set[str]:
    if word == "all":
        return set(NAMES)
    return set(GROUPS[word[1:]]) if word[0] == "@" else {word}


def allowed(rules: list[dict[str, list[str]]], sender: str) -> set[str]:
    mine = [rule for rule in rules if any(sender in members(word) for word in rule["from"])]
    granted = {to for rule in mine for word in rule["to"] for to in members(word)}
    return (granted if mine else set(NAMES)) | {sender, "operator"}


def outcome(
    of: Directory, to: str | list[str] | None, sender: str
) -> tuple[str, set[str], set[str]]:
    """(what comes of a send, who gets it or is in the way, who is left out)."""
    try:
        recipients, skipped = of.addressed(to, sender=AgentName(sender))
    except errors.NotAllowedError as error:
        return "refused", set(re.findall(r"\w+", str(error.extra["recipients"]))), set()
    except errors.NoRecipientError:
        return "nobody", set(), set()
    return "sent", set(recipients), set(skipped)


@given(rule_sets, st.sampled_from(NAMES), addresses)
def test_whom_a_to_means_is_what_the_rules_leave_of_it(
    rules: list[dict[str, list[str]]], sender: str, to: str | list[str] | None
) -> None:
    words = [to] if isinstance(to, str) else ["all"] if to is None else to
    named = {word for word in words if word in {*NAMES, "operator"}}
    meant = {agent for word in set(words) - named for agent in members(word)} - {sender}
    may = allowed(rules, sender)
    if named - may:
        expected = "refused", named - may, set[str]()
    elif (named | meant) & may:
        expected = "sent", named | meant & may, meant - may
    elif meant:
        expected = "refused", meant, set[str]()
    else:
        expected = "nobody", set[str](), set[str]()
    assert outcome(directory(rules), to, sender) == expected
