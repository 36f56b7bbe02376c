from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from filter_plugins import hubs

ROLE = Path(__file__).resolve().parents[4] / "roles" / "bus_database"
GROUPS = {"hub": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("groups", "hostvars", "expected"),
    [
        ({"hub": ["a"]}, {"a": {}}, "sqlite"),
        (GROUPS, {"a": {}, "b": {}, "c": {}}, "fleet"),
        ({"hub": ["a"]}, {"a": {"message_bus_database": "postgresql://db/bus"}}, "own"),
    ],
)
def test_what_the_bus_keeps_its_messages_in(
    groups: dict[str, list[str]], hostvars: dict[str, dict[str, str]], expected: str
) -> None:
    assert hubs.database_of(groups, hostvars) == expected
    assert hubs.hubs_with_database(groups, hostvars) == (
        groups["hub"] if expected == "fleet" else []
    )


def slurped(content: Any) -> dict[str, str]:
    """Return what Ansible's slurp gets of a JSON file."""
    return {"content": base64.b64encode(json.dumps(content).encode()).decode()}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"stdout": '{"database": "/var/lib/agent-bus-hub/bus.db"}'}, "sqlite"),
        ({"stdout": '{"database": "postgresql://agent_bus@a,b/agent_bus"}'}, "postgresql"),
        ({"stdout": "{}"}, ""),
        ({"failed": True, "msg": "non-zero return code", "stdout": ""}, ""),
        ({"unreachable": True, "msg": "no route to host"}, ""),
        ({"stdout": "{half"}, ""),
    ],
)
def test_what_a_hub_has_is_read_from_its_settings(answer: dict[str, str], expected: str) -> None:
    assert hubs.runs_on(answer) == expected


def test_a_release_from_before_a_move_is_known() -> None:
    def entry(release: str, database: str) -> dict[str, Any]:
        text = json.dumps({"database": database})
        return {"release": release, "files": [{"path": "/etc/agent-bus/hub.json", "text": text}]}

    file, server = "/var/lib/agent-bus-hub/bus.db", "postgresql://db/bus"
    moved = slurped({"good": [entry("1", file), entry("2", server)]})
    assert hubs.moved_since(moved, "2")
    settled = slurped({"good": [entry("1", file), entry("2", server), entry("3", server)]})
    assert not hubs.moved_since(settled, "3")
    assert not hubs.moved_since(slurped({"good": [entry("1", file)]}), "1")
    assert not hubs.moved_since({"failed": True}, "1")


def test_hubs_reach_each_other_as_the_nodes_reach_them() -> None:
    members = hubs.members_of(GROUPS, {"a": {"bus_address": "10.0.0.1"}, "b": {}, "c": {}})
    assert members == {"a": "10.0.0.1", "b": "b", "c": "c"}
    assert hubs.member_urls(members, 2379)["a"] == "https://10.0.0.1:2379"


def test_a_hub_that_dropped_out_of_the_run_is_not_asked() -> None:
    assert hubs.hubs_left(GROUPS, ["a", "b", "n"], ["b", "n"]) == ["b", "c"]


def test_a_certificate_has_every_name_of_its_hub_once() -> None:
    hub = {"name": "a", "address": "10.0.0.1", "more_names": ["bus.example", "localhost"]}
    names = hubs.hub_names(hub, {"a": {"ansible_host": "10.0.0.1"}})
    assert names == ["10.0.0.1", "a", "localhost", "127.0.0.1", "::1", "bus.example"]


def test_the_ports_are_the_role_s() -> None:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    assert {name: value for name, value in defaults.items() if name.endswith("_port")} == {
        "bus_database_port": hubs.POSTGRES_PORT,
        "bus_database_patroni_port": hubs.PATRONI_PORT,
        "bus_database_etcd_port": hubs.ETCD_PORT,
        "bus_database_etcd_peer_port": hubs.ETCD_PEER_PORT,
        "bus_database_etcd_metrics_port": hubs.ETCD_METRICS_PORT,
    }
