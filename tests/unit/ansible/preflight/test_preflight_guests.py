"""The guests of an inventory: what is wrong with them, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from roles.preflight.filter_plugins import preflight, preflight_guests

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
all:
  vars:
    guests:
      laptop-anna: [anna-claude]
      partner-a2a:
        agents: [partner]
        addresses: [192.168.9.7, 10.9.0.0/24]
    agent_groups:
      pair: [alpha, anna-claude]
hub:
  hosts:
    box:
nodes:
  hosts:
    box:
      agents: [alpha]
    mini:
      agents: [beta]
"""


def test_guests_may_be_in_groups_and_have_addresses(check: Any) -> None:
    assert check(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "laptop-anna: [",
            "Laptop Anna: [",
            "hosts.yml:4: guest name 'Laptop Anna' is not valid; use lower-case letters, digits,",
        ),
        ("laptop-anna: [", "bus: [", "hosts.yml:4: guest name 'bus' is reserved"),
        (
            "laptop-anna: [",
            "mini: [",
            "hosts.yml:4: guest 'mini' is also a host of the inventory; a guest is a machine that",
        ),
        (
            "[anna-claude]\n",
            "anna-claude\n",
            "hosts.yml:4: the agents of guest laptop-anna are 'anna-claude', not a list",
        ),
        ("[anna-claude]\n", "[]\n", "hosts.yml:4: guest laptop-anna has no agents; list one or"),
        (
            "[anna-claude]\n",
            "[{name: anna-claude, waker: hook}]\n",
            "hosts.yml:4: an agent of guest laptop-anna is {'name': 'anna-claude', 'waker':",
        ),
        (
            "[anna-claude]\n",
            "[Anna]\n",
            "hosts.yml:4: agent name 'Anna' of guest laptop-anna is not valid; use lower-case",
        ),
        (
            "[anna-claude]\n",
            "[operator]\n",
            "hosts.yml:4: agent name 'operator' of guest laptop-anna is reserved (operator, all,",
        ),
        (
            "[anna-claude]\n",
            "[alpha]\n",
            "hosts.yml:16 and hosts.yml:4: agent 'alpha' is on box and laptop-anna; a name is",
        ),
        ("[partner]", "[pair]", "hosts.yml:9: group 'pair' has the name of an agent"),
        (
            "[partner]",
            "[partner, anna-claude]",
            "agent 'anna-claude' is on laptop-anna and partner-a2a; a name is used once",
        ),
        (
            "agents: [partner]",
            "agent: [partner]",
            "hosts.yml:6: guest partner-a2a has an unknown setting 'agent'; did you mean 'a",
        ),
        (
            "addresses: [",
            "addr: [",
            "hosts.yml:7: guest partner-a2a has an unknown setting 'addr'",
        ),
        (
            "[192.168.9.7, 10.9.0.0/24]",
            "192.168.9.7",
            "hosts.yml:7: addresses of guest partner-a2a is '192.168.9.7', not a list",
        ),
        (
            "192.168.9.7",
            "anna.lan",
            "hosts.yml:7: addresses of guest partner-a2a has 'anna.lan', which is neither",
        ),
        ("    guests:\n", "    guest:\n", "unknown variable 'guest'; did you mean 'guests'?"),
        (
            "    mini:\n",
            "    mini:\n      guests: {}\n",
            "hosts.yml:3: guests is not the same for all hosts; set it once for all of them",
        ),
        (
            "pair: [alpha, anna-claude]",
            "pair: [alpha, ana-claude]",
            "names 'ana-claude', which no host or guest has; did you mean 'anna-claude'?",
        ),
        (
            "  vars:\n",
            "  vars:\n    message_bus_firewall: true\n",
            "hosts.yml:5: message_bus_firewall shuts guest laptop-anna out; name the addresses",
        ),
    ],
)
def test_each_mistake_is_named_with_its_place_and_its_fix(
    check: Any, old: str, new: str, expected: str
) -> None:
    assert old in GOOD
    errors = check(GOOD.replace(old, new, 1))
    assert any(expected in error for error in errors), errors


@pytest.mark.parametrize("guests", ["[laptop-anna]", "laptop-anna", "7"])
def test_guests_that_are_no_mapping_are_refused(check: Any, guests: str) -> None:
    text = f"all: {{vars: {{guests: {guests}}}}}\nhub: {{hosts: {{box: {{agents: [alpha]}}}}}}\n"
    errors = check(text + "nodes: {hosts: {box: {}}}\n")
    assert any("not a mapping of names to lists of agents: `guests: {" in one for one in errors)


def test_a_list_of_the_operator_may_let_guests_in(check: Any) -> None:
    rule = "  vars:\n    message_bus_firewall: true\n"
    allow = "    message_bus_firewall_allow: [192.168.1.0/24]\n"
    assert check(GOOD.replace("  vars:\n", rule + allow)) == []


def test_a_damaged_token_of_a_guest_is_refused(check: Any, tmp_path: Path) -> None:
    token = tmp_path / "secrets" / "guests" / "laptop-anna.token"
    token.parent.mkdir(parents=True)
    token.touch(mode=0o600)
    (error,) = check(GOOD)
    assert error.startswith("secrets/guests/laptop-anna.token: this is not a token; restore it")


def test_names_of_guests_have_the_rule_of_agents() -> None:
    assert preflight_guests.NAME.pattern == preflight.NAME.pattern
    assert preflight_guests.RESERVED == preflight.RESERVED
