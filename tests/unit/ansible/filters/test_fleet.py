from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from filter_plugins import fleet
from lab.paths import ROOT


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("[::]", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("192.168.1.20", "192.168.1.20"),
        ("t440.lan", "t440.lan"),
        ("fd00::7", "[fd00::7]"),
        ("[fd00::7]", "[fd00::7]"),
    ],
)
def test_the_bus_is_reached_on_its_own_host_where_it_listens(bind: str, address: str) -> None:
    assert fleet.local_address(bind) == address


def hub(**variables: Any) -> dict[str, Any]:
    """Return what is known of a hub whose inventory says this."""
    own = {"inventory_dir": "/home/me/inventory/mine", **variables}
    return fleet.hub_of("box", {"box": own, "mini": {}})


def test_a_hub_of_which_nothing_is_said_has_the_role_s_defaults() -> None:
    defaults = yaml.safe_load((ROOT / "roles/message_bus/defaults/main.yml").read_text())
    said = {
        name: defaults[f"message_bus_{name}"]
        for name in ("port", "bind", "tls", "tls_certificate", "tls_key", "tls_ca", "tls_names")
    }
    assert hub() == hub(**{f"message_bus_{name}": value for name, value in said.items()})


@pytest.mark.parametrize("off", [False, "off", "false", "Off", "", None])
def test_without_tls_the_hub_is_called_where_it_listens(off: object) -> None:
    found = hub(message_bus_tls=off, message_bus_bind="fd00::7", message_bus_port=1)
    assert (found["tls"], found["certificate"], found["key"], found["ca"]) == ("off", "", "", "")
    assert found["url"] == "http://box:1"
    assert found["local_url"] == found["plain_url"] == "http://[fd00::7]:1"
    assert found["listens"] == "[fd00::7]:1"


def test_a_mistyped_mode_of_tls_is_refused_wherever_it_was_given() -> None:
    """With -e it passes the check of the inventory, and a run for one node passes the hub's."""
    with pytest.raises(AnsibleFilterError, match="set it to off, fleet or own"):
        hub(message_bus_tls="flett")


def test_with_tls_everybody_calls_the_hub_by_the_name_in_its_certificate() -> None:
    found = hub(message_bus_tls="fleet", bus_address="bus.lan")
    assert found["url"] == found["local_url"] == found["tls_url"] == "https://bus.lan:8091"
    tls = "/home/me/inventory/secrets/mine/tls"
    assert (found["certificate"], found["key"]) == (f"{tls}/hub.crt", f"{tls}/hub.key")
    assert found["ca"] == f"{tls}/ca.crt"


def test_the_operator_s_own_certificate_may_do_without_an_authority() -> None:
    own = {"message_bus_tls_certificate": "/c", "message_bus_tls_key": "/k"}
    found = hub(message_bus_tls="own", message_bus_tls_names=["bus"], **own)
    assert (found["certificate"], found["key"], found["ca"]) == ("/c", "/k", "")
    assert found["more_names"] == ["bus"]


def test_secrets_lie_beside_the_inventory_unless_it_says_where() -> None:
    assert hub()["secrets"] == "/home/me/inventory/secrets/mine"
    assert hub(agent_bus_secrets_dir="/there")["secrets"] == "/there"
    assert fleet.hub_of("box", {"box": {}}, "/given")["secrets"] == "/given"


def test_nodes_come_in_the_inventory_s_order() -> None:
    groups = {"nodes": ["c", "a", "b"], "nodes_to_roll": ["b", "x", "c"]}
    hostvars: dict[str, dict[str, Any]] = {"a": {"agents": []}, "b": {"agents": ["one"]}, "c": {}}
    assert fleet.nodes_with_agents(hostvars, groups) == ["b"]
    assert fleet.nodes_in(groups, "nodes_to_roll") == ["c", "b"]
    assert fleet.nodes_in(groups, "nobody") == []
    assert fleet.or_nobody(["c"]) == ["c"]


@pytest.mark.parametrize("answer", [{}, {"json": None}, {"json": {"detail": "no"}}])
def test_a_hub_that_does_not_answer_sees_nobody(answer: dict[str, Any]) -> None:
    assert fleet.connected_nodes(answer, "1.0-a") == []


def test_only_watchers_of_the_release_count_as_connected() -> None:
    nodes = [
        {"node": "new", "connected": True, "watcher_version": "1.0-a"},
        {"node": "old", "connected": True, "watcher_version": "0.9-a"},
        {"node": "away", "connected": False, "watcher_version": "1.0-a"},
    ]
    assert fleet.connected_nodes({"json": {"nodes": nodes}}, "1.0-a") == ["new"]


def test_a_secret_is_one_line_that_only_its_owner_reads() -> None:
    entry = {"path": "/t", "content": "geheim\n", "mode": "0600", "secret": True}
    assert fleet.secret_files({"/t": "geheim"}) == [entry]


def test_each_hub_has_an_address_with_its_own_port_and_tls() -> None:
    hosts: dict[str, dict[str, Any]] = {
        "box": {"bus_address": "192.168.1.20"},
        "mini": {"message_bus_port": 9000, "message_bus_tls": "fleet"},
    }
    assert fleet.hub_urls(hosts, hosts, "/s") == ["http://192.168.1.20:8091", "https://mini:9000"]
