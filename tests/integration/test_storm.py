"""A real ping-pong: two agents whose turns answer each other, a real watcher, a real hub."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.conftest import AGENTS, FAST
from tests.support.node_side import HubWithNodes, Node, StandinProcess, token_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TURN = """
import json, sys, urllib.request
agent, url, token = sys.argv[1:4]

def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Authorization": "Bearer " + token})
    return json.load(urllib.request.urlopen(request))

for one in call("/api/inbox?agent=" + agent)["messages"]:
    call("/api/ack", {"agent": agent, "ids": [one["id"]]})
    other = {"alpha": "beta", "beta": "alpha"}[agent]
    thanks = {"from": agent, "to": other, "body": "Thank you very much!", "reply_to": one["id"]}
    call("/api/send", thanks)
"""
LIMITS: dict[str, Any] = {
    "storm_repeats": 4,
    "storm_more": 2,
    "storm_spacing_s": 0.5,
    "storm_window_s": 600,
}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubWithNodes]:
    server = HubWithNodes(
        tmp_path / "hub", {"n1": AGENTS, "n2": ("gamma",)}, keepalive_s=0.5, **LIMITS
    )
    yield server
    server.process.kill()


@pytest.fixture
def node(tmp_path: Path, hub: HubWithNodes, gateway: StandinProcess) -> Iterator[Node]:
    command = [sys.executable, "-I", "-S", "-c", TURN, "{agent}", hub.url, token_of("n1")]
    agents = [{"name": name, "waker": "command", "command": command} for name in AGENTS]
    made = Node(tmp_path / "n1", "n1", hub.url, agents, gateway_url=gateway.url, **FAST)
    yield made
    if hasattr(made, "watcher"):
        made.watcher.kill()


def thread(hub: HubWithNodes, thread_id: str) -> list[dict[str, Any]]:
    page = hub.call("GET", f"/api/history?thread={thread_id}&order=asc&limit=200")
    found: list[dict[str, Any]] = page["messages"]
    return found


def levels(hub: HubWithNodes) -> list[str]:
    return [one["level"] for one in hub.call("GET", "/api/storms")["storms"]]


def test_a_ping_pong_ends_by_itself_and_a_word_lets_it_go_on(
    hub: HubWithNodes, node: Node
) -> None:
    node.start()
    until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online")
    first = hub.send("alpha", "Please thank beta.")
    until(lambda: levels(hub) == ["held"], what="the hold")

    def notices() -> list[dict[str, Any]]:
        page = hub.call("GET", "/api/inbox?agent=operator")["messages"]
        return [one for one in page if one["from_agent"] == "bus"]

    until(notices, what="the notice")
    assert "Thank you very much!" in notices()[0]["body"]
    said = thread(hub, first["thread_id"])
    assert said[-1]["from_agent"] in AGENTS
    probed = hub.call("POST", "/api/probes", {"agents": list(AGENTS)})
    assert all(one["ok"] for one in probed["results"])
    assert len(thread(hub, first["thread_id"])) == len(said), "it went on although it is held"
    (waiting,) = said[-1]["deliveries"]
    assert (waiting["fetched_at"], waiting["accepted_at"]) == (None, None)

    told = node.cli("reply", said[-1]["id"], "Thanks again.", "--as", waiting["agent"])
    assert "stored, not woken: you only keep each other busy" in told.stdout
    word = {"from": "operator", "to": list(AGENTS), "body": "Go on.", "reply_to": said[-1]["id"]}
    hub.call("POST", "/api/send", word)
    until(
        lambda: len(thread(hub, first["thread_id"])) > len(said) + 3,
        what="the talk goes on",
    )
