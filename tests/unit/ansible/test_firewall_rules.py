"""The rules that the template of the firewall makes: who reaches the bus, and who its database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

TEMPLATE = Path(__file__).resolve().parents[3] / "templates" / "agent-bus-firewall.nft.j2"
FLEET = {
    "message_bus_kind": "fleet",
    "message_bus_port": 8091,
    "message_bus_firewall_sets": {"ipv4": ["192.168.1.20/31"], "ipv6": []},
    "message_bus_database_ports": [5432, 8008, 2379, 2380],
    "message_bus_hub_addresses": {"ipv4": ["192.168.1.40/32"], "ipv6": ["fd00::40/128"]},
}


def chains(**given: Any) -> dict[str, list[str]]:
    """Return the rules of each chain."""
    jinja = jinja2.Environment(trim_blocks=True, autoescape=False)
    found: dict[str, list[str]] = {}
    rules: list[str] = []
    for line in jinja.from_string(TEMPLATE.read_text()).render({**FLEET, **given}).splitlines():
        word = line.strip()
        if word.startswith("chain "):
            rules = found.setdefault(word.split()[1], [])
        elif word not in {"", "}"} and not word.startswith("#"):
            rules.append(word)
    return found


def test_the_database_is_for_the_hubs_alone() -> None:
    found = chains()
    assert "tcp dport { 5432, 8008, 2379, 2380 } jump database" in found["input"]
    assert found["database"] == [
        'iifname "lo" accept',
        "ip saddr { 192.168.1.40/32 } accept",
        "ip6 saddr { fd00::40/128 } accept",
        "counter drop",
    ]


def test_the_bus_is_for_the_fleet_whatever_its_database_is() -> None:
    for kind in ("fleet", "sqlite", "own"):
        found = chains(message_bus_kind=kind)
        assert "tcp dport 8091 jump port" in found["input"]
        assert found["port"][-1] == "counter drop"


def test_hubs_of_one_database_reach_each_others_bus() -> None:
    let_in = ["ip saddr { 192.168.1.40/32 } accept", "ip6 saddr { fd00::40/128 } accept"]
    for kind in ("fleet", "own"):
        assert chains(message_bus_kind=kind)["port"][-3:-1] == let_in
    assert not set(let_in) & set(chains(message_bus_kind="sqlite")["port"])


def test_there_is_no_rule_for_a_database_that_is_not_the_fleets() -> None:
    for kind in ("sqlite", "own"):
        found = chains(message_bus_kind=kind)
        assert set(found) == {"input", "port"}
        assert not any("5432" in rule for rule in found["input"])
