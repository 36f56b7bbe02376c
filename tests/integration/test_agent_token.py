"""A node with an agent that has a token of its own: command line, MCP, watcher, outbox, doctor."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cli import sent_id, told
from tests.support.mcp import McpProcess
from tests.support.node_side import HubWithNodes, Node, StandinProcess, fetch, token_of, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OWN = "o" * 43
BY_ITSELF = {"AGENT_BUS_TOKEN_FILE": ""}
"""What makes the command line look for the token by itself."""


@pytest.fixture
def own(hub: HubWithNodes, node: Node) -> Path:
    """Alpha's file; the hub knows the token, and the node's own one speaks for beta only."""
    path = node.folder / "alpha.token"
    path.write_text(OWN)
    path.chmod(0o400)
    (node.folder / "secrets" / "agent-token-alpha").write_text(OWN)
    node.settings["agents"] = [{"name": "alpha", "token_file": str(path)}, {"name": "beta"}]
    node.write()
    put(hub, [{"agent": "alpha", "sha256": [hashlib.sha256(OWN.encode()).hexdigest()]}])
    return path


def put(hub: HubWithNodes, agent_tokens: list[dict[str, Any]]) -> None:
    body = {
        "agents": [{"name": a, "node": n} for n, names in hub.nodes.items() for a in names],
        "tokens": [
            {"node": node, "sha256": [hashlib.sha256(token_of(node).encode()).hexdigest()]}
            for node in hub.nodes
        ],
        "agent_tokens": agent_tokens,
    }
    hub.call("PUT", "/api/agents", body)


def test_the_command_line_speaks_with_the_agents_token(
    hub: HubWithNodes, node: Node, own: Path
) -> None:
    sent = sent_id(told(node, "send", "--as", "alpha", "gamma", "hello", env=BY_ITSELF))
    assert hub.call("GET", f"/api/messages/{sent}")["from_agent"] == "alpha"
    hub.send("alpha", "for you")
    assert "for you" in told(node, "inbox", "--as", "alpha", env=BY_ITSELF)
    refused = told(node, "inbox", "--as", "alpha", code=77)
    assert "alpha has a token of its own" in refused


def test_the_mcp_server_speaks_with_the_agents_token(
    hub: HubWithNodes, node: Node, own: Path
) -> None:
    server = McpProcess(["--as", "alpha"], env={**node.env(), **BY_ITSELF})
    try:
        assert "sent " in server.call("send", to="gamma", body="by mcp")
        server.end()
    finally:
        server.kill()
    (shown,) = hub.call("GET", "/api/history?agent=alpha")["messages"]
    assert shown["body"] == "by mcp"


def test_the_watcher_wakes_the_agent_without_knowing_what_its_mail_says(
    hub: HubWithNodes,
    node: Node,
    own: Path,
    online: Callable[[], None],
    gateway: StandinProcess,
) -> None:
    online()
    hub.send("alpha", "s3cret-body")
    until(lambda: gateway.wakes("alpha"), what="alpha was woken")
    assert "s3cret" not in node.watcher.log.read_text()


def test_what_waits_in_the_outbox_goes_with_the_token_of_its_sender(
    hub: HubWithNodes, node: Node, own: Path, online: Callable[[], None]
) -> None:
    for sender in ("alpha", "beta"):
        node.outbox_file(f"key-{sender}", {"from": sender, "to": "gamma", "body": f"of {sender}"})
    online()

    def arrived() -> set[str]:
        found = hub.call("GET", "/api/inbox?agent=gamma")["messages"]
        return {one["body"] for one in found}

    until(lambda: arrived() == {"of alpha", "of beta"}, what="both have arrived")
    assert list((node.folder / "outbox").glob("*.json")) == []


def test_a_token_that_was_replaced_holds_up_only_its_own_agents_mail(
    hub: HubWithNodes, node: Node, own: Path, online: Callable[[], None]
) -> None:
    put(hub, [{"agent": "alpha", "sha256": [hashlib.sha256(b"another").hexdigest()]}])
    for sender in ("alpha", "beta"):
        node.outbox_file(f"key-{sender}", {"from": sender, "to": "gamma", "body": f"of {sender}"})
    online()

    def bodies() -> list[str]:
        return [one["body"] for one in hub.call("GET", "/api/inbox?agent=gamma")["messages"]]

    until(lambda: bodies() == ["of beta"], what="beta's has arrived")
    (waiting,) = (node.folder / "outbox").glob("*.json")
    assert json.loads(waiting.read_text())["request"]["from"] == "alpha"


def test_doctor_looks_at_the_agents_token(hub: HubWithNodes, node: Node, own: Path) -> None:
    output = node.cli("doctor", "--as", "alpha", env=BY_ITSELF).stdout
    assert "with alpha's own token" in output
    assert "ok   token of alpha: " in output
    assert "and the hub takes it" in output
    own.chmod(0o644)
    output = node.cli("doctor", "--as", "alpha", env=BY_ITSELF).stdout
    assert "FAIL token of alpha: " in output
    assert "has mode 0644: others than" in output
    own.chmod(0o400)
    put(hub, [])
    output = node.cli("doctor", "--as", "alpha", env=BY_ITSELF).stdout
    assert "FAIL token of alpha: " in output
    own.unlink()
    output = node.cli("doctor", env=BY_ITSELF).stdout
    assert "FAIL token of alpha: " in output
    assert "No such file" in output


def test_the_nodes_token_still_answers_the_hub_for_its_watcher(
    hub: HubWithNodes, node: Node, own: Path, online: Callable[[], None]
) -> None:
    """The lease of a node whose agent has a token, and a probe of that agent."""
    online()
    probed = hub.call("POST", "/api/probes", {"agents": ["alpha"]})
    assert probed["results"][0]["ok"] is True
    refused = fetch(hub.url, "/api/inbox?agent=alpha", token=token_of("n1"))
    assert refused.status == 403
