"""Questions to the production fleet only; shared/tests has those to any."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.running import RunningFleet


def test_the_bus_runs_and_starts_at_boot(running: RunningFleet) -> None:
    state = running.properties(
        "agent-bus", "ActiveState", "UnitFileState", "Restart", "User", host=running.who.hub
    )
    assert state == {
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "Restart": "always",
        "User": "agent-bus",
    }


def test_every_watcher_runs_and_comes_back_by_itself(running: RunningFleet) -> None:
    names = "ActiveState,UnitFileState,Restart,RestartUSec,Type"
    answers = running.on_nodes(f"systemctl show bus-watcher --property={names}")
    assert len(answers) == 9
    for host, answer in answers.items():
        assert set(answer.split()) == {
            "ActiveState=active",
            "UnitFileState=enabled",
            "Restart=always",
            "RestartUSec=5s",
            "Type=notify",
        }, host


def test_the_hub_is_ready(running: RunningFleet) -> None:
    assert running.api("/readyz")["ready"]


def test_every_agent_is_registered_where_the_inventory_has_it(running: RunningFleet) -> None:
    registered = {a["name"]: a["node"] for a in running.api("/api/agents")["agents"] if a["node"]}
    expected = {agent: host for host, names in running.who.agents.items() for agent in names}
    assert registered == expected
    assert len(expected) >= 19


def test_the_database_is_durable(running: RunningFleet) -> None:
    database = running.api("/api/stats")["database"]
    assert database["journal_mode"] == "wal"
    assert database["synchronous"] == "full"
