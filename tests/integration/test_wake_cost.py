"""What wakes cost: a model's turns cost money."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.support.node_side import (
    NODE_PYTHON,
    HubWithNodes,
    Node,
    StandinProcess,
    launcher,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL_S = 4


def reading_turn(node: Node) -> list[str]:
    """The command of a turn that reads and acks all mail."""
    code = launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")
    environment = [f"{key}={value}" for key, value in node.env().items()]
    inbox = ["inbox", "--as", "{agent}", "--json", "--limit", "500", "--ack"]
    return ["env", *environment, NODE_PYTHON, "-I", "-S", "-c", code, *inbox]


def test_a_burst_of_100_messages_costs_two_turns(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, online: Callable[[], None]
) -> None:
    """One wake at once, and one for mail after its turn had read; more only for a longer burst."""
    node.settings.update(wake_min_interval_s=INTERVAL_S, escalate_after_s=600, rewake_after_s=600)
    node.write()
    gateway.standin(turn=reading_turn(node), turn_delay_s=0.5)
    online()
    began = time.monotonic()
    for number in range(100):
        hub.send("alpha", str(number))
    took_s = time.monotonic() - began
    until(lambda: hub.agent("alpha")["unread"] == 0, what="all are read")
    wakes = gateway.wakes("alpha")
    print(f"100 messages in {took_s:.1f} s: {len(wakes)} wakes")
    assert len(wakes) <= 2 + took_s // INTERVAL_S
    assert {wake["path"] for wake in wakes} == {"/hooks/wake"}
