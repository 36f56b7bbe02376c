from __future__ import annotations

from typing import Any

from filter_plugins import agents

LISTED: list[Any] = [
    {"name": "scribe", "waker": "command", "command": ["/bin/wake"]},
    {"name": "triage", "waker": "hook"},
    {"name": "ada"},
    "planner",
]


def test_every_agent_has_a_name_however_it_is_listed() -> None:
    assert agents.agent_names(LISTED) == ["scribe", "triage", "ada", "planner"]
    assert agents.agent_mappings(LISTED)[2:] == [{"name": "ada"}, {"name": "planner"}]


def test_each_agent_is_woken_by_a_command_or_by_the_gateway() -> None:
    assert agents.woken_by_command(LISTED) == ["scribe"]
    assert set(agents.woken_by_gateway(LISTED)) == {"triage", "ada", "planner"}
    assert agents.woken_by_command(["planner"]) == []


def test_a_gateway_s_settings_keep_their_order_over_an_upgrade() -> None:
    """Another order would be another text of openclaw.json."""
    assert agents.woken_by_gateway(LISTED) == ["planner", "ada", "triage"]
    assert agents.woken_by_gateway([{"name": "ada"}, "bert"]) == ["bert", "ada"]
