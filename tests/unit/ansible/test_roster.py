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


def test_groups_stay_as_they_are_unless_a_node_leaves() -> None:
    groups = {"all-of-them": ["carl", "ada", "elsewhere"]}
    assert made(["mini"], groups=groups)["groups"] == groups
    left = made(["mini"], groups=groups, leaving=["box"])["groups"]
    assert left == {"all-of-them": ["ada"]}
