"""The network between hub and node drops packets; one gateway call hangs: no wake is lost or late.

The watcher reaches the hub by a loopback address of its own, so that only its packets are dropped
while others go on sending. `AGENT_BUS_PARTITION_S=120` makes the cut two minutes long.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.support.network import dropped
from tests.support.node_side import HubWithNodes, Node, StandinProcess, token_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTITION_S = float(os.environ.get("AGENT_BUS_PARTITION_S", "8"))
SEND_INTERVAL_S = 0.1
NODE_ADDRESS = "127.0.0.9"
AGENTS = ("alpha", "beta")
FAST = {"wake_min_interval_s": 1.5, "escalate_after_s": 1.5, "rewake_after_s": 3, "stagger_s": 0.3}


@contextlib.contextmanager
def one_node(
    folder: Path, **settings: object
) -> Iterator[tuple[HubWithNodes, StandinProcess, Node]]:
    """A hub, a gateway and a node whose watcher is online."""
    with contextlib.ExitStack() as stack:
        hub = HubWithNodes(folder / "hub", {"n1": AGENTS}, listen="0.0.0.0", keepalive_s=0.5)
        stack.callback(hub.process.kill)
        gateway = StandinProcess(folder / "gateway", AGENTS)
        stack.callback(gateway.process.kill)
        agents = [{"name": name} for name in AGENTS]
        url = f"http://{NODE_ADDRESS}:{hub.port}"
        node = Node(folder / "n1", "n1", url, agents, gateway_url=gateway.url, **settings)
        watcher = node.start()
        stack.callback(watcher.kill)
        until(lambda: hub.agent("alpha")["status"] == "online", what="the watcher is online")
        yield hub, gateway, node


def of_the_node(port: int) -> tuple[str, str]:
    """Packets between the node's watcher and the hub, both ways."""
    to_hub = f"ip daddr {NODE_ADDRESS} tcp dport {port}"
    return to_hub, f"ip saddr {NODE_ADDRESS} tcp sport {port}"


def test_every_message_of_a_cut_network_has_led_to_a_wake_after_it_heals(tmp_path: Path) -> None:
    with one_node(tmp_path, **FAST) as (hub, _gateway, node):
        stop = threading.Event()
        sent: list[tuple[str, str]] = []

        def traffic() -> None:
            while not stop.wait(SEND_INTERVAL_S):
                agent = AGENTS[len(sent) % 2]
                sent.append((agent, hub.send(agent)["id"]))

        sender = threading.Thread(target=traffic)
        sender.start()
        try:
            until(lambda: len(sent) > 5, what="traffic has begun")
            with dropped(*of_the_node(hub.port)):
                before = len(sent)
                until(
                    lambda: "stream ended" in node.watcher.events(),
                    what="the watcher notices the silence",
                )
                goal = before + int(PARTITION_S / SEND_INTERVAL_S)
                # the bus goes on for everybody else
                until(lambda: len(sent) >= goal, "the cut is over", seconds=60 + PARTITION_S)
        finally:
            stop.set()
            sender.join()

        def unwoken() -> list[str]:
            return [i for agent, i in sent if not hub.timeline(i, agent)["accepted_at"]]

        until(lambda: not unwoken(), what="every message has led to a wake")


def woken_since(gateway: StandinProcess, known: int) -> bool:
    return len(gateway.wakes("beta")) > known


def test_an_agent_whose_wakes_hang_delays_no_other(tmp_path: Path) -> None:
    """p99 of one agent's wakes beside hanging wakes of another, and without those."""
    quick = {**FAST, "wake_min_interval_s": 0.02, "stagger_s": 0}
    with one_node(tmp_path, **quick) as (hub, gateway, _node):

        def latencies(count: int) -> list[float]:
            found = []
            for _ in range(count):
                known = len(gateway.wakes("beta"))
                began = time.time()
                hub.send("beta")
                until(partial(woken_since, gateway, known), what="beta is woken")
                found.append(gateway.wakes("beta")[known]["at"] - began)
                hub.call("GET", "/api/inbox?agent=beta", token=token_of("n1"))
            return sorted(found)

        without = latencies(100)
        gateway.fault("hang", agent="alpha", seconds=60)
        hub.send("alpha")
        beside = latencies(100)
        print(f"p99 without {without[98] * 1000:.1f} ms, beside {beside[98] * 1000:.1f} ms")
        assert beside[98] <= max(3 * without[98], without[98] + 0.05)
        assert not gateway.wakes("alpha")
