from __future__ import annotations

from pathlib import Path

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
