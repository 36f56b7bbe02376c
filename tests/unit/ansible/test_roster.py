"""The roster that the hub is told: what stands in the inventory and on the control node."""

from __future__ import annotations

import hashlib
from typing import Any

from roles.fleet.filter_plugins.roster import roster

HOSTS: dict[str, Any] = {
    "mini": {"agents": ["ada", {"name": "bert", "waker": "command"}]},
    "box": {"agents": ["carl"]},
}


def made(nodes: list[str], **given: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"tokens": {}, "groups": {}, "leaving": [], "force": False}
    return roster(nodes, HOSTS, **{**usual, **given})


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_each_agent_stands_with_its_node() -> None:
    found = [(agent["name"], agent["node"]) for agent in made(["mini", "box"])["agents"]]
    assert found == [("ada", "mini"), ("bert", "mini"), ("carl", "box")]


def test_while_tokens_are_rotated_both_count() -> None:
    tokens = {"mini.token": "new", "mini.token.old": "old", "box.token": "same"}
    tokens["box.token.old"] = "same"
    found = {
        entry["node"]: entry["sha256"] for entry in made(["mini", "box"], tokens=tokens)["tokens"]
    }
    assert found == {"mini": [digest("new"), digest("old")], "box": [digest("same")]}


def test_in_a_check_run_a_node_may_have_no_token_yet() -> None:
    assert made(["box"])["tokens"] == [{"node": "box", "sha256": [digest("")]}]


def test_guests_are_nodes_of_which_the_hub_knows_that_they_have_no_watcher() -> None:
    guests = {"laptop-anna": {"agents": ["anna-claude", "anna-codex"], "addresses": []}}
    tokens = {"laptop-anna.token": "new", "laptop-anna.token.old": "old"}
    found = made(["box"], tokens=tokens, guests=guests, groups={"all-of-them": ["anna-codex"]})
    assert found["guests"] == ["laptop-anna"]
    assert found["agents"][1:] == [
        {"name": "anna-claude", "node": "laptop-anna"},
        {"name": "anna-codex", "node": "laptop-anna"},
    ]
    assert found["tokens"][1:] == [
        {"node": "laptop-anna", "sha256": [digest("new"), digest("old")]}
    ]


def test_without_guests_the_release_before_takes_the_roster_too() -> None:
    assert "guests" not in made(["box"], guests={})


def test_a_guest_stays_in_its_groups_when_a_node_leaves() -> None:
    guests = {"laptop-anna": {"agents": ["anna-claude"], "addresses": []}}
    groups = {"g": ["carl", "anna-claude"]}
    left = made(["mini"], groups=groups, leaving=["box"], guests=guests)
    assert left["groups"] == {"g": ["anna-claude"]}


def test_groups_stay_as_they_are_unless_a_node_leaves() -> None:
    groups = {"all-of-them": ["carl", "ada", "elsewhere"]}
    assert made(["mini"], groups=groups)["groups"] == groups
    left = made(["mini"], groups=groups, leaving=["box"])["groups"]
    assert left == {"all-of-them": ["ada"]}


RIGHTS = [
    {"from": "ada", "to": "@pair", "name": "shy"},
    {"from": ["carl", "all"], "to": []},
]


def test_rules_are_sent_as_lists() -> None:
    found = made(["mini", "box"], groups={"pair": ["bert"]}, rights=RIGHTS)["rights"]
    assert found == [
        {"name": "shy", "from": ["ada"], "to": ["@pair"]},
        {"from": ["carl", "all"], "to": []},
    ]


def test_without_rules_the_release_before_takes_the_roster_too() -> None:
    assert "rights" not in made(["box"], rights=[])


def test_without_budgets_the_release_before_takes_the_roster_too() -> None:
    assert "budgets" not in made(["box"], budgets={})


def test_a_fleet_without_a_budget_says_so() -> None:
    given = {"fleet": False, "agents": {"carl": {"per_day": 3}}, "groups": None}
    found = made(["box"], budgets=given)["budgets"]
    assert found == {"fleet": None, "agents": {"carl": {"per_day": 3}}, "groups": {}}


def test_agents_of_a_node_that_leaves_lose_their_budgets() -> None:
    given = {"agents": {"ada": {"per_day": 3}, "carl": {"per_day": 4}}, "groups": {"pair": {}}}
    members = {"pair": ["carl"]}
    found = made(["box"], groups=members, budgets=given, leaving=["mini"])["budgets"]
    assert found == {"agents": {"carl": {"per_day": 4}}, "groups": {"pair": {}}}


def test_agents_of_a_node_that_leaves_go_out_of_the_rules() -> None:
    rights = [*RIGHTS, {"from": "ada", "to": "all"}, {"from": "carl", "to": ["bert", "operator"]}]
    found = made(["box"], groups={"pair": ["bert"]}, rights=rights, leaving=["mini"])["rights"]
    assert found == [
        {"from": ["carl", "all"], "to": []},
        {"from": ["carl"], "to": ["operator"]},
    ]


LADDERS = {
    "default": [{"after_min": 30, "to": "operator"}],
    "groups": {"pair": [{"after_min": 10, "to": "@pair"}]},
    "agents": {"ada": [{"after_min": 5, "to": "carl"}, {"after_min": 9, "to": "bert"}]},
}


def test_ladders_of_urgent_mail_are_sent_as_they_are() -> None:
    found = made(["mini", "box"], groups={"pair": ["bert"]}, escalation=LADDERS)
    assert found["escalation"] == LADDERS
    nothings: tuple[Any, ...] = (None, {}, {"default": [], "agents": None})
    for nothing in nothings:
        assert "escalation" not in made(["box"], escalation=nothing)


def test_agents_of_a_node_that_leaves_go_out_of_the_ladders() -> None:
    left = made(["mini"], groups={"pair": ["bert"]}, escalation=LADDERS, leaving=["box"])
    assert left["escalation"]["default"] == LADDERS["default"]
    names = {agent["name"] for agent in left["agents"]}
    steps = left["escalation"].get("agents", {}).get("ada", [])
    assert {step["to"] for step in steps} <= names


def test_agents_with_tokens_of_their_own_stand_with_their_digests() -> None:
    """The node's counts, too, until the node has the agent's, and after it gave that back."""
    texts = {"ada.token": "own", "ada.token.old": "before", "bert.token": "fresh"}
    texts |= {"bert.token.node": "", "carl.token": "left", "stranger.token": "x"}
    found = made(["mini", "box"], own=["ada", "bert"], own_tokens=texts)["agent_tokens"]
    assert found == [
        {"agent": "ada", "sha256": [digest("own"), digest("before")]},
        {"agent": "bert", "sha256": [digest("fresh")], "node_too": True},
        {"agent": "carl", "sha256": [digest("left")], "node_too": True},
    ]


def test_without_such_agents_an_earlier_hub_takes_the_roster_too() -> None:
    assert "agent_tokens" not in made(["mini"], own=["ada"], own_tokens={})
