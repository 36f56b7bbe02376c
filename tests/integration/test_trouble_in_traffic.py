"""Things that break in the middle of traffic: afterwards every message has led to a wake.

The network that swallows packets is in tests/crash/test_partition.py.
"""

from __future__ import annotations

import itertools
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.errors import ClientError
from agent_bus_client.hub.transport import HubClient
from tests.support.node_side import ADMIN_TOKEN, HubWithNodes, Node, StandinProcess, until

if TYPE_CHECKING:
    from collections.abc import Callable

AGENTS = ("alpha", "beta")


class Traffic(threading.Thread):
    """Sends to both agents by turns until `stop`, each message until the hub accepts it."""

    def __init__(self, hub: HubWithNodes) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self._caller = HubClient(hub.url, lambda: ADMIN_TOKEN)
        self._stopping = threading.Event()

    def run(self) -> None:
        for number in itertools.count():
            if self._stopping.wait(0.05):
                return
            agent = AGENTS[number % 2]
            self.sent.append((agent, self._send(agent, f"key-{number}")))

    def _send(self, agent: str, key: str) -> str:
        body = {"from": "operator", "to": agent, "body": key}
        while True:
            try:
                headers = {"Idempotency-Key": key}
                sent = self._caller.call("POST", "/api/send", body=body, headers=headers)
            except ClientError:
                self._stopping.wait(0.05)
            else:
                return str(sent["id"])

    def has_sent(self, more: int) -> None:
        """Wait until this many more messages are sent."""
        target = len(self.sent) + more
        until(lambda: len(self.sent) >= target, what="traffic goes on")

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def kill_the_watcher(_hub: HubWithNodes, _gateway: StandinProcess, node: Node) -> None:
    node.watcher.stop(signal.SIGKILL)
    node.start()


def restart_the_hub(hub: HubWithNodes, _gateway: StandinProcess, _node: Node) -> None:
    hub.process.kill()
    hub.start()


def restart_the_gateway(_hub: HubWithNodes, gateway: StandinProcess, _node: Node) -> None:
    gateway.stop()
    gateway.start()


@pytest.mark.parametrize("break_it", [kill_the_watcher, restart_the_hub, restart_the_gateway])
def test_every_message_has_led_to_a_wake_after_trouble(
    hub: HubWithNodes,
    gateway: StandinProcess,
    node: Node,
    online: Callable[[], None],
    break_it: Callable[[HubWithNodes, StandinProcess, Node], None],
) -> None:
    online()
    traffic = Traffic(hub)
    traffic.start()
    try:
        traffic.has_sent(6)
        for _ in range(2):
            break_it(hub, gateway, node)
            traffic.has_sent(6)
    finally:
        traffic.stop()

    def unwoken() -> list[str]:
        return [i for agent, i in traffic.sent if not hub.timeline(i, agent)["accepted_at"]]

    until(lambda: not unwoken(), what="every message has led to a wake")
    page = hub.call("GET", "/api/history?with=alpha&agent=operator&limit=500")
    keys = [message["body"] for message in page["messages"]]
    assert len(keys) == len(set(keys)) == len([a for a, _ in traffic.sent if a == "alpha"])
    if break_it is not kill_the_watcher:  # which forgets when it has woken whom
        for agent in AGENTS:
            at = [wake["at"] for wake in gateway.wakes(agent)]
            assert all(b - a >= 1.4 for a, b in itertools.pairwise(at))
