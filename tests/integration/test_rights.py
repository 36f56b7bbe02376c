"""Who may write to whom, as agents meet it: the command line, its outbox, and MCP on a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cli import sent_id, told
from tests.support.mcp import McpProcess
from tests.support.node_side import HubWithNodes, Node, until
from tests.support.played_hub import PlayedHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GROUPS = {"team": ["beta", "gamma"]}
SHY = [{"from": ["alpha"], "to": ["gamma"], "name": "shy"}]
REFUSED = "alpha may not write to beta: rule 1 (shy) of message_rights"


@pytest.fixture
def ruled(hub: HubWithNodes) -> Callable[[list[dict[str, Any]]], None]:
    def put(rights: list[dict[str, Any]]) -> None:
        hub.put_roster(groups=GROUPS, rights=rights)

    return put


def test_a_refused_send_says_why_and_where_to_look(
    ruled: Callable[[list[dict[str, Any]]], None], node: Node
) -> None:
    ruled(SHY)
    refused = told(node, "send", "--as", "alpha", "beta", "x", code=77)
    assert REFUSED in refused
    assert refused.endswith("look: agent-bus agents, which lists whom you may write to\n")
    sent_id(told(node, "send", "--as", "alpha", "gamma", "x"))
    group = told(node, "send", "--as", "alpha", "@team", "x")
    assert group.endswith("  not sent to beta: you may not write to them\n")


def test_a_refused_reply_says_that_only_this_direction_is_closed(
    ruled: Callable[[list[dict[str, Any]]], None], node: Node
) -> None:
    ruled(SHY)
    asked = sent_id(told(node, "send", "--as", "beta", "alpha", "well?"))
    refused = told(node, "reply", "--as", "alpha", asked, "no", code=77)
    assert "beta may write to alpha, but not the other way round" in refused


def test_agents_are_those_that_one_may_write_to(
    ruled: Callable[[list[dict[str, Any]]], None], node: Node
) -> None:
    ruled(SHY)

    def listed(*who: str) -> list[str]:
        seen = json.loads(told(node, "agents", "--json", *who))
        return [agent["name"] for agent in seen["agents"]]

    assert listed("--as", "alpha") == ["alpha", "gamma"]
    assert listed("--as", "beta") == ["alpha", "beta", "gamma"]
    assert listed() == ["alpha", "beta", "gamma"], "those of all agents of the node"
    ruled([*SHY, {"from": ["beta"], "to": []}])
    assert listed("--as", "beta") == ["beta"]
    assert "agent beta: offline" in node.cli("doctor").stdout, (
        "the doctor sees all agents of its node"
    )


def test_a_message_that_a_rule_stops_on_its_way_out_of_the_outbox_is_given_up(
    hub: HubWithNodes,
    ruled: Callable[[list[dict[str, Any]]], None],
    node: Node,
    online: Callable[[], None],
) -> None:
    ruled(SHY)
    online()
    hub.process.kill()
    assert "Kept in the outbox" in told(node, "send", "--as", "alpha", "beta", "too late")
    assert "Kept in the outbox" in told(node, "send", "--as", "beta", "gamma", "still fine")
    hub.start()
    until(lambda: "FAIL outbox: 0 waiting, 1 failed" in node.cli("doctor").stdout)
    done = node.cli("inbox", "--as", "alpha")
    assert "was not delivered: to beta: 'too late'" in done.stderr
    assert REFUSED in done.stderr
    assert hub.agent("gamma")["unread"] == 1


@pytest.fixture
def alpha(node: Node) -> Iterator[McpProcess]:
    server = McpProcess.of(node, "--as", "alpha")
    yield server
    assert server.end() == ""


def test_tools_refuse_skip_and_list_by_the_rules(
    ruled: Callable[[list[dict[str, Any]]], None], node: Node, alpha: McpProcess
) -> None:
    ruled(SHY)
    refused = alpha.call("send", is_error=True, to="beta", body="x")
    assert REFUSED in refused
    assert refused.endswith("look: tool agents lists whom you may write to")
    asked = sent_id(told(node, "send", "--as", "beta", "alpha", "well?"))
    assert REFUSED in alpha.call("reply", is_error=True, id=asked, body="x")
    assert "not sent to beta" in alpha.call("send", to="@team", body="x")
    page = alpha.call("agents")
    assert "gamma" in page
    assert "beta" not in page
    assert "you are alpha" in alpha.call("status")


def test_a_hub_of_an_older_release_is_asked_without_saying_for_whom(node: Node) -> None:
    roster = {"agents": [], "groups": {"old": ["alpha"]}, "nodes": []}

    def answer(_method: str, path: str, _body: Any) -> tuple[int, dict[str, Any]]:
        if "from" in path:
            words = "from: this call takes no parameters."
            return 400, {"code": "invalid_request", "detail": words, "field": "from"}
        return 200, roster

    with PlayedHub(answer) as old:
        node.settings["hub_url"] = old.url
        node.write()
        assert "@old: alpha" in told(node, "agents", "--as", "alpha")
