from __future__ import annotations

from dataclasses import replace

import pytest

from agent_bus.bus.directory import Directory
from agent_bus.core import errors
from agent_bus.core.guards.policy import canonical
from agent_bus.core.model import OPERATOR, Agent, AgentName, NodeName, Roster
from tests.support.store import ALPHA, BETA, GAMMA, ROSTER

RETIRED = AgentName("omega")


@pytest.fixture
def directory() -> Directory:
    one = Directory()
    agents = [Agent(name, node) for name, node in ROSTER.agents.items()]
    one.replace(ROSTER, [*agents, Agent(OPERATOR, None), Agent(RETIRED, NodeName("n9"), 1)])
    return one


def test_where_agents_live(directory: Directory) -> None:
    assert directory.agents_of(NodeName("n1")) == (ALPHA, BETA)
    assert directory.agents_of(NodeName("unknown")) == ()
    assert directory.agents_of(None) == (OPERATOR,)
    assert directory.node_of(GAMMA) == "n2"
    assert directory.node_of(RETIRED) is None
    assert directory.node_of(OPERATOR) is None


def test_a_node_without_agents_is_a_node(directory: Directory) -> None:
    directory.replace(Roster(agents={}, tokens={NodeName("hub"): ("0" * 64,)}), [])
    assert directory.nodes == {"hub": ()}


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("beta", ["beta"]),
        ("alpha", ["alpha"]),
        (None, ["beta", "gamma"]),
        ("@greeks", ["beta"]),
        (["gamma", "@greeks", "gamma"], ["gamma", "beta"]),
        (["operator", "alpha"], ["operator", "alpha"]),
    ],
)
def test_whom_a_to_means(directory: Directory, to: list[str] | None, expected: list[str]) -> None:
    assert list(directory.recipients(to, sender=ALPHA)) == expected


def test_one_unknown_name_refuses_all_and_the_closest_are_named(directory: Directory) -> None:
    with pytest.raises(errors.UnknownAgentError) as refused:
        directory.recipients(["beta", "gama"], sender=ALPHA)
    assert refused.value.extra == {"name": "gama", "closest": ["gamma"]}
    with pytest.raises(errors.UnknownAgentError) as refused:
        directory.recipients("@greek", sender=ALPHA)
    assert refused.value.extra["closest"] == ["@greeks"]


def test_retired_agents_get_no_new_mail(directory: Directory) -> None:
    with pytest.raises(errors.AgentRetiredError):
        directory.recipients(RETIRED, sender=ALPHA)
    assert directory.require(RETIRED, field="agent") == RETIRED


def test_nobody_left_is_refused(directory: Directory) -> None:
    alone = Roster(agents={ALPHA: NodeName("n1")}, groups={"greeks": (ALPHA, RETIRED)})
    directory.replace(alone, [Agent(ALPHA, NodeName("n1"))])
    for to in (None, "@greeks"):
        with pytest.raises(errors.NoRecipientError):
            directory.recipients(to, sender=ALPHA)


@pytest.fixture
def with_rights(directory: Directory) -> Directory:
    """Alpha may write to nobody but gamma; gamma to alpha; beta to all."""
    rules = [
        {"from": ["alpha"], "to": ["gamma"], "name": "shy"},
        {"from": ["gamma"], "to": ["alpha"]},
    ]
    roster = replace(ROSTER, policies={"rights": canonical(rules)})
    directory.replace(roster, directory.agents.values())
    return directory


@pytest.mark.parametrize(
    ("to", "expected", "skipped"),
    [
        ("gamma", ["gamma"], []),
        ("alpha", ["alpha"], []),
        ("operator", ["operator"], []),
        (None, ["gamma"], ["beta"]),
        (["@greeks", "gamma"], ["gamma"], ["beta"]),
    ],
)
def test_those_of_a_group_whom_the_sender_may_not_write_to_are_left_out(
    with_rights: Directory, to: list[str] | None, expected: list[str], skipped: list[str]
) -> None:
    found, left_out = with_rights.addressed(to, sender=ALPHA)
    assert (list(found), list(left_out)) == (expected, skipped)


@pytest.mark.parametrize("to", ["beta", ["gamma", "beta"], "@greeks"])
def test_whom_the_sender_names_it_must_be_allowed_to_write_to(
    with_rights: Directory, to: str | list[str]
) -> None:
    with pytest.raises(errors.NotAllowedError) as refused:
        with_rights.recipients(to, sender=ALPHA)
    assert refused.value.extra == {
        "sender": "alpha",
        "recipients": ["beta"],
        "rules": ["rule 1 (shy)"],
    }
    assert "beta may write to alpha, but not the other way round" in refused.value.detail


def test_a_sender_without_a_rule_may_write_to_all(with_rights: Directory) -> None:
    assert with_rights.addressed(None, sender=BETA) == ((ALPHA, GAMMA), ())
    assert with_rights.recipients("alpha", sender=OPERATOR) == (ALPHA,)
