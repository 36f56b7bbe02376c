"""Questions to the production fleet only; shared/tests has those to any."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from lab.fleet import plays
from lab.paths import ROOT
from lab.probe.running import CURL, until
from tests.support import status

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet


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


def test_the_status_playbook_and_the_page_show_the_same(running: RunningFleet) -> None:
    command = plays.playbook_command(running.up, ROOT / "playbooks" / "status.yml", [])
    plain = plays.readable_environment()
    agents = {name for names in running.who.agents.values() for name in names}
    text = ""

    def is_the_same() -> bool:
        """Whether both told the same; a wake that falls in between is told by one of them."""
        nonlocal text
        before = status.on_page(running.page())
        done = subprocess.run(command, env=plain, capture_output=True, text=True, check=False)
        text = done.stdout + done.stderr
        assert done.returncode == 0, text
        told = status.printed(text)
        assert agents <= set(told.agents), text
        assert set(running.nodes) == set(told.hosts), text
        return told in (before, status.on_page(running.page()))

    until(is_the_same, what="playbooks/status.yml and the page tell the same")
    assert all(row[5] for row in status.printed(text).agents.values()), "every release is told"


def test_the_bus_speaks_tls_and_tells_who_does_not(running: RunningFleet) -> None:
    hub, node = running.who.hub, running.nodes[1]
    place = f"{hub}:{running.who.port}/readyz"
    trusting = running.on(node, f"{CURL} --cacert /etc/agent-bus/ca.crt https://{place}")
    assert '"ready":true' in trusting
    assert "tls_required" in running.on(node, f"{CURL} http://{place}")
    assert "certificate problem" in running.on(node, f"{CURL} https://{place} 2>&1; true")
