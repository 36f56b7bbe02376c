"""The watcher as a process, while agents move between nodes at the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.node_side import HubWithNodes, Node, StandinProcess, until

if TYPE_CHECKING:
    from collections.abc import Callable

WARNING = "agents with settings here are on other nodes now: run the site playbook"


def warned(node: Node) -> list[list[str]]:
    return [line["agents"] for line in node.watcher.lines() if line["event"] == WARNING]


def test_neighbours_of_an_agent_that_has_moved_keep_their_lease(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, online: Callable[[], None]
) -> None:
    """The hub refuses reports on other nodes' agents; until its host's next rollout this one
    still has beta's settings."""
    node.settings["presence_interval_s"] = 0.2
    node.write()
    online()

    def states() -> tuple[str, str]:
        return hub.agent("alpha")["status"], hub.agent("beta")["status"]

    hub.nodes = {"n1": ("alpha",), "n2": ("beta", "gamma")}
    hub.put_roster()
    until(lambda: warned(node) == [["beta"]], what="the watcher says that beta has moved")
    gateway.stop()
    until(lambda: states() == ("gateway-down", "deaf"), what="alpha is reported, beta is not")
    node.watcher.kill()
    node.start()
    until(lambda: warned(node) == [["beta"]], what="a hello tells it as well")
    hub.nodes = {"n1": ("alpha", "beta"), "n2": ("gamma",)}
    hub.put_roster()
    until(lambda: states() == ("gateway-down", "gateway-down"), what="beta is back and reported")
    assert warned(node) == [["beta"]]
