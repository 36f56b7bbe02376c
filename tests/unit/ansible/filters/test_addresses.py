from __future__ import annotations

import threading
from typing import Any

import pytest

from filter_plugins import addresses

HOSTS = {
    "mini": {"ansible_host": "192.168.1.21"},
    "box": {"ansible_host": "192.168.1.20"},
    "six": {"ansible_host": "fd00::21"},
}


def rule(hosts: dict[str, Any] = HOSTS, **more: Any) -> list[str]:
    given = {"message_bus_firewall": True, **more}
    return [finding["says"] for finding in addresses.firewall_findings(given, hosts=hosts)]


def test_addresses_of_the_inventory_are_let_through() -> None:
    assert rule() == []
    allow = {"message_bus_firewall_allow": ["192.168.1.21", "10.1.0.0/16", "192.168.9.7/24"]}
    assert addresses.firewall_sets(allow, HOSTS) == {
        "ipv4": ["10.1.0.0/16", "192.168.1.20/31", "192.168.9.0/24"],
        "ipv6": ["fd00::21/128"],
    }


def test_a_list_of_the_operator_replaces_the_inventory_s() -> None:
    fleet = {"message_bus_firewall_fleet": ["10.0.0.0/24"]}
    assert addresses.firewall_sets(fleet, HOSTS) == {"ipv4": ["10.0.0.0/24"], "ipv6": []}
    assert rule({"nobody.invalid": {}}, **fleet) == []


def test_hosts_without_a_known_address_are_named() -> None:
    found = rule({"nobody.invalid": {}, "box": {"ansible_host": "alias.invalid"}})
    assert len(found) == 1
    assert found[0].startswith("this machine cannot tell the addresses of nobody.invalid, box")


def test_a_name_that_means_the_control_node_itself_is_no_address() -> None:
    assert "addresses of mini" in rule({"mini": {"ansible_host": "localhost"}})[0]


def test_what_is_no_address_is_refused() -> None:
    assert "'10.0.0.300', which is neither" in rule(message_bus_firewall_allow=["10.0.0.300"])[0]


def test_each_hub_has_an_address_by_which_its_database_is_reached() -> None:
    hubs = {
        "elm": {"ansible_host": "192.168.1.21"},
        "fir": {"bus_address": "192.168.1.22"},
        "nobody.invalid": {},
    }
    given = {"message_bus_firewall": True}
    (found,) = addresses.firewall_findings(given, hosts=HOSTS, hubs=hubs)
    assert found["says"].startswith("this machine cannot tell the address of nobody.invalid, by")
    assert addresses.firewall_findings({}, hosts=HOSTS, hubs=hubs) == []


def test_nothing_is_asked_without_the_rule() -> None:
    assert rule({"nobody.invalid": {}}, message_bus_firewall=False) == []


def doubles(
    monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Any], names: dict[str, list[str]]
) -> list[str]:
    """Return the pairs of hosts that are reached in the same way, with these name servers."""
    monkeypatch.setattr(addresses, "_resolve", lambda name: names.get(name, []))
    found = addresses.same_address_findings(hosts, {"nodes": list(hosts)})
    return [str(one["says"]).partition(" are one machine")[0] for one in found]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"ansible_host": "192.0.2.5"}, {"ansible_host": "192.0.2.5"}, True),
        ({"ansible_host": "192.0.2.5"}, {"ansible_ssh_host": "192.0.2.5"}, True),
        ({"ansible_host": "192.0.2.5"}, {"ansible_host": "192.0.2.6"}, False),
        ({"ansible_host": "box.lan"}, {"ansible_host": "192.0.2.5"}, True),
        ({"ansible_host": "box.lan"}, {"ansible_host": "BOX.lan"}, True),
        ({"ansible_host": "box.lan"}, {"ansible_host": "www.lan"}, True),
        ({"ansible_host": "fd00::5"}, {"ansible_host": "[fd00::5]"}, True),
        ({"ansible_host": "box.lan"}, {"ansible_host": "fd00::5"}, True),
        ({"ansible_host": "192.0.2.5"}, {"ansible_host": "192.0.2.5", "ansible_port": 22}, True),
        ({"ansible_host": "192.0.2.5"}, {"ansible_host": "192.0.2.5", "ansible_port": "22"}, True),
        ({"ansible_host": "192.0.2.5"}, {"ansible_host": "192.0.2.5", "ansible_port": 222}, False),
        (
            {"ansible_host": "10.0.0.5", "ansible_ssh_common_args": "-J first"},
            {"ansible_host": "10.0.0.5", "ansible_ssh_common_args": "-J second"},
            False,
        ),
        ({"ansible_connection": "local"}, {"ansible_connection": "local"}, True),
        ({"ansible_connection": "local"}, {"ansible_host": "192.0.2.5"}, False),
        (
            {"ansible_connection": "containers.podman.podman", "ansible_host": "one"},
            {"ansible_connection": "containers.podman.podman", "ansible_host": "two"},
            False,
        ),
        ({}, {}, False),
    ],
)
def test_two_names_that_are_reached_in_the_same_way_are_one_machine(
    monkeypatch: pytest.MonkeyPatch, one: dict[str, Any], other: dict[str, Any], *, same: bool
) -> None:
    names = {"box.lan": ["192.0.2.5", "fd00::5"], "www.lan": ["192.0.2.5"]}
    found = doubles(monkeypatch, {"mini": one, "attic": other}, names)
    assert found == (["mini and attic"] if same else [])


def test_name_servers_that_answer_for_every_name_prove_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything = {key: ["192.0.2.99"] for key in ["mini", "attic", addresses.NO_NAME]}
    assert doubles(monkeypatch, {"mini": {}, "attic": {}}, everything) == []


def test_name_servers_that_do_not_answer_hold_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(addresses, "LOOK_UP_S", 0.1)
    monkeypatch.setattr(addresses, "_resolve", lambda _: never.wait() and [])
    hosts = {"mini": {"ansible_host": "192.0.2.5"}, "attic": {"ansible_host": "192.0.2.5"}}
    assert len(addresses.same_address_findings(hosts, {"nodes": ["mini", "attic"]})) == 1
    never.set()


def test_machines_that_did_not_say_what_they_are_are_not_one() -> None:
    assert addresses.one_machine_errors({"mini": "", "attic": ""}, {"mini": {}, "attic": {}}) == []


def test_only_hubs_reach_their_database_by_whatever_address() -> None:
    hosts = {
        "a": {"ansible_host": "192.0.2.1", "bus_address": "198.51.100.1"},
        "b": {"ansible_host": "192.0.2.2", "bus_address": "192.0.2.2"},
    }
    assert addresses.hub_sets(hosts)["ipv4"] == ["192.0.2.1/32", "192.0.2.2/32", "198.51.100.1/32"]
