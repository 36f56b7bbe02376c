from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.node_side import NODE_PYTHON, HubWithNodes, Node, StandinProcess, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AGENTS = ("alpha", "beta")
FAST = {"wake_min_interval_s": 1.5, "escalate_after_s": 1.5, "rewake_after_s": 3, "stagger_s": 0.3}


def pytest_report_header() -> str:
    version = subprocess.run([NODE_PYTHON, "-V"], capture_output=True, text=True, check=True)
    return f"watchers and command lines run on: {version.stdout.strip()}"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubWithNodes]:
    server = HubWithNodes(tmp_path / "hub", {"n1": AGENTS, "n2": ("gamma",)}, keepalive_s=0.5)
    yield server
    server.process.kill()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[StandinProcess]:
    standin = StandinProcess(tmp_path / "gateway", AGENTS)
    yield standin
    standin.process.kill()


@pytest.fixture
def node(tmp_path: Path, hub: HubWithNodes, gateway: StandinProcess) -> Iterator[Node]:
    """Node n1 with its settings written and nothing started."""
    agents = [{"name": name} for name in AGENTS]
    made = Node(tmp_path / "n1", "n1", hub.url, agents, gateway_url=gateway.url, **FAST)
    yield made
    if hasattr(made, "watcher"):
        made.watcher.kill()


@pytest.fixture
def online(hub: HubWithNodes, node: Node) -> Callable[[], None]:
    """Start the node's watcher and wait until the hub sees it."""

    def start() -> None:
        node.start()
        until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online")

    return start


@pytest.fixture
def gamma(tmp_path: Path, hub: HubWithNodes) -> Node:
    """Node n2 with its one agent."""
    return Node(tmp_path / "n2", "n2", hub.url, [{"name": "gamma"}])
