"""The rule that guards the bus's port."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from lab.fleet import standing
from lab.probe.running import RunningFleet, until

if TYPE_CHECKING:
    from molecule.lifecycle.tests.conftest import Operator


def test_the_port_is_open_to_the_fleet_only_while_the_rule_is_on(
    running: RunningFleet, operator: Operator
) -> None:
    hub, node = running.who.hub, running.nodes[1]
    address = standing.spec_of(running.up, hub).address

    def answers() -> bool:
        try:
            socket.create_connection((address, running.who.port), timeout=2).close()
        except TimeoutError:
            return False
        return True

    def switch(*, on: bool, **more: object) -> int:
        rule = json.dumps({"message_bus_firewall": on, **more})
        own = ("--limit", hub, "--tags", "hub", "-e", rule)
        return operator.roll_out(*own, *operator.hub_settings).changed[hub]

    knock = f"timeout 2 bash -c '</dev/tcp/{address}/{running.who.port}' && echo open || true"
    others = [standing.spec_of(running.up, host).address for host in running.nodes if host != node]
    assert answers()
    assert switch(on=True, message_bus_firewall_fleet=others) > 0
    assert not answers()  # this machine is none of the fleet
    assert running.on(node, knock) == ""  # nor is this host, as before it was added
    rule = json.dumps({"message_bus_firewall": True})
    added = operator.roll_out("--limit", node, "-e", rule, *operator.hub_settings)
    assert added.changed[node] > 0
    assert "agents" in running.as_user(node, "agent-bus agents --json")
    running.on(hub, "sudo systemctl restart nftables")  # which flushes every rule
    until(lambda: not answers(), what="the rule is back")
    assert switch(on=False) > 0
    assert answers()
    assert "agent_bus" not in running.on(hub, "sudo nft list tables")
