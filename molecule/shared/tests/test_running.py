"""Questions to any fleet of a scenario; nothing here reads a file Ansible wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import rollcall

if TYPE_CHECKING:
    from lab.running import RunningFleet


def test_no_unit_has_failed(running: RunningFleet) -> None:
    answers = running.on_nodes("systemctl list-units --failed --no-legend --plain")
    assert {host: out.strip() for host, out in answers.items() if out.strip()} == {}


def test_the_hub_sees_every_stream_with_one_release(running: RunningFleet) -> None:
    nodes = running.streams()
    assert set(nodes) == set(running.nodes)
    assert all(node["connected"] for node in nodes.values())
    assert len({node["watcher_version"] for node in nodes.values()}) == 1


def test_every_agent_is_woken_on_its_own_host_and_nowhere_else(running: RunningFleet) -> None:
    outcomes = rollcall.call(running.up)
    assert [f"{o.letter.recipient} {o.trouble}" for o in outcomes if o.trouble] == []
