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


def test_a_host_may_have_agents_and_no_openclaw() -> None:
    coder = {"name": "coder", "waker": "codex", "user": "dev", "folder": "/srv"}
    assert agents.woken_by_gateway([coder]) == agents.woken_by_command([coder]) == []
    assert not agents.needs_openclaw([coder])
    assert agents.bus_owner([coder], "openclaw") == "dev"
    assert agents.needs_openclaw(["main", coder])
    assert agents.bus_owner(["main", coder], "openclaw") == "openclaw"
    assert agents.bus_owner([], "openclaw") == "openclaw"
    assert agents.turn_users(["main", coder, {**coder, "name": "other"}]) == ["dev"]
    assert [entry["path"] for entry in agents.turn_dropins(["main", coder], "claw")] == [
        "/etc/systemd/system/agent-bus-turn@coder.service.d",
        "/etc/systemd/system/agent-bus-turn@coder.service.d/agent.conf",
    ]
