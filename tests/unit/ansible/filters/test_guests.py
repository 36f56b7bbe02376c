"""Guests: what the inventory's lines mean, and what the operator is told to hand over."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import guests
from filter_plugins.addresses import firewall_sets

LISTED = {
    "laptop-anna": ["anna-claude"],
    "partner-a2a": {"agents": ["partner"], "addresses": ["192.168.9.7", "10.9.0.0/24"]},
}
FOUND: guests.Guests = {
    "laptop-anna": {"agents": ["anna-claude"], "addresses": []},
    "partner-a2a": {"agents": ["partner"], "addresses": ["192.168.9.7", "10.9.0.0/24"]},
}
HUB = {"name": "t440", "url": "http://t440:8091", "ca": ""}


def words(**more: Any) -> list[str]:
    usual: dict[str, Any] = {"hubs": [HUB], "secrets": "/s", "rotating": [], "shut_out": []}
    return guests.guest_words(FOUND, **{**usual, **more})


def test_a_guest_is_a_list_of_agents_or_a_mapping() -> None:
    hostvars: dict[str, Any] = {"t440": {"guests": LISTED}, "mini": {}}
    groups = {"hub": ["t440"], "nodes": ["mini"]}
    assert guests.guests_of(groups, hostvars) == FOUND


@pytest.mark.parametrize("listed", [None, {}, [], "laptop-anna"])
def test_without_guests_there_are_none(listed: object) -> None:
    assert guests.guests_of({"hub": ["t440"]}, {"t440": {"guests": listed}}) == {}


def test_while_only_the_syntax_is_checked_there_are_no_guests() -> None:
    assert guests.guests_of({"hub": ["t440"]}, {}) == {}


def test_the_operator_is_told_paths_and_addresses() -> None:
    assert words() == [
        "Guests reach the bus at http://t440:8091",
        "laptop-anna (anna-claude): its token is in /s/guests/laptop-anna.token",
        "partner-a2a (partner): its token is in /s/guests/partner-a2a.token",
    ]
    with_tls = {"name": "t440", "url": "https://t440:8091", "ca": "/s/tls/ca.crt"}
    first, *_ = words(hubs=[with_tls, {**with_tls, "url": "https://nuc:8091"}])
    assert first == (
        "Guests reach the bus at https://t440:8091 or https://nuc:8091; "
        "/s/tls/ca.crt proves that it is the bus"
    )


def test_the_operator_is_told_how_a_rotation_ends() -> None:
    assert words(rotating=["laptop-anna"])[1] == (
        "laptop-anna (anna-claude): its token is in /s/guests/laptop-anna.token. Once it uses "
        "this one, delete /s/guests/laptop-anna.token.old and run site.yml again"
    )


def test_addresses_of_guests_may_reach_the_port() -> None:
    sets = firewall_sets({}, {"mini": {"ansible_host": "192.168.1.21"}}, guests=FOUND)
    assert sets["ipv4"] == ["10.9.0.0/24", "192.168.1.21/32", "192.168.9.7/32"]


def test_a_guest_without_addresses_is_named_where_the_port_is_guarded() -> None:
    assert guests.shut_out_guests(FOUND, {"message_bus_firewall": "true"}) == ["laptop-anna"]
    assert guests.shut_out_guests(FOUND, {}) == []
    assert "message_bus_firewall_allow" in words(shut_out=["laptop-anna"])[1]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (True, ["laptop-anna", "partner-a2a"]),
        ("true", ["laptop-anna", "partner-a2a"]),
        (False, []),
        ("", []),
        ("partner-a2a", ["partner-a2a"]),
        ("partner-a2a, laptop-anna", ["partner-a2a", "laptop-anna"]),
        (["laptop-anna"], ["laptop-anna"]),
    ],
)
def test_all_guests_are_rotated_or_some_or_none(wanted: object, chosen: list[str]) -> None:
    assert guests.chosen_guests(FOUND, wanted) == chosen


def test_a_slip_in_the_name_of_a_guest_is_answered_with_the_right_one() -> None:
    with pytest.raises(AnsibleFilterError, match="no guest is called laptop-ana; did you mean l"):
        guests.chosen_guests(FOUND, "laptop-ana")
    with pytest.raises(AnsibleFilterError, match="there are laptop-anna, partner-a2a"):
        guests.chosen_guests(FOUND, "x")
