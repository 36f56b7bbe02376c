"""After a watcher was stopped or killed, nobody is told that it will wake an agent."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.certificates import Authority
from tests.support.node_side import HubWithNodes, Node, StandinProcess, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = {"name": "gamma", "waker": "command", "command": ["true"]}
NEVER: dict[str, Any] = {"keepalive_s": 3600, "lease_s": 3600, "offline_after_s": 7200}
"""Only the end of its connection tells the hub that a watcher has ended."""


@pytest.fixture(params=["plain", "tls"])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HubWithNodes]:
    nodes: dict[str, tuple[str, ...]] = {"n1": ("alpha",), "n2": ("gamma",)}
    if request.param == "tls":
        authority = Authority(tmp_path / "tls")
        settings: dict[str, Any] = {**authority.issue("hub"), **NEVER}
        server = HubWithNodes(tmp_path / "hub", nodes, ca_file=str(authority.ca_file), **settings)
    else:
        server = HubWithNodes(tmp_path / "hub", nodes, **NEVER)
    yield server
    server.process.kill()


@pytest.fixture
def node(tmp_path: Path, hub: HubWithNodes, gateway: StandinProcess) -> Iterator[Node]:
    more = {"gateway_url": gateway.url, "hub_ca_file": hub.ca_file}
    made = Node(tmp_path / "n1", "n1", hub.url, [{"name": "alpha"}], **more)
    made.start()
    yield made
    made.watcher.kill()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_send_does_not_say_that_a_watcher_which_has_ended_wakes(
    tmp_path: Path, hub: HubWithNodes, node: Node, end: int
) -> None:
    sender = Node(tmp_path / "n2", "n2", hub.url, [{"name": "gamma"}], hub_ca_file=hub.ca_file)
    until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online")
    assert "online, is being woken" in sender.cli("send", "alpha", "hello").stdout
    node.watcher.stop(end)
    until(lambda: hub.agent("alpha")["status"] == "deaf", what="the lease has ended")
    assert "its node's watcher is not connected" in sender.cli("send", "alpha", "hello").stdout
    node.start()
    until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online again")
    assert "Traceback" not in hub.process.log.read_text()


def test_a_watcher_that_is_only_silent_keeps_its_lease(hub: HubWithNodes, node: Node) -> None:
    other = Node(node.folder.parent / "n2", "n2", hub.url, [COMMAND], hub_ca_file=hub.ca_file)
    other.start()
    try:
        until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online")
        until(lambda: hub.agent("gamma")["status"] == "online", what="gamma is online")
        other.watcher.signal_group(signal.SIGSTOP)
        node.watcher.stop(signal.SIGTERM)
        until(lambda: hub.agent("alpha")["status"] == "deaf", what="alpha's lease has ended")
        assert hub.agent("gamma")["status"] == "online"
    finally:
        other.watcher.kill()
