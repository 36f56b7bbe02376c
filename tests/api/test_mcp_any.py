"""Any body of `POST /mcp` gets an answer of JSON-RPC or none, and never makes the hub fail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.mcp import META, MODERN

if TYPE_CHECKING:
    from tests.support.hub import HubProcess

METHODS = ["initialize", "ping", "tools/list", "tools/call", "server/discover", "nothing"]
TOOLS = ["send", "inbox", "reply", "ack", "agents", "thread", "status", "nothing"]
ARGUMENTS = ["to", "body", "id", "ids", "up_to", "limit", "all", "part", "data", "key", "cursor"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "_meta": st.just(META) | VALUES,
        "name": st.sampled_from(TOOLS) | VALUES,
        "arguments": st.dictionaries(st.sampled_from(ARGUMENTS), VALUES, max_size=4) | VALUES,
    },
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | VALUES,
        "id": st.integers() | VALUES,
        "method": st.sampled_from(METHODS) | VALUES,
        "params": PARAMS | VALUES,
    },
)
BODIES = st.one_of(
    st.binary(max_size=200), (VALUES | NEARLY).map(lambda value: json.dumps(value).encode())
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "MCP-Protocol-Version": st.sampled_from([MODERN, "2025-06-18", "1999-01-01", "x"]),
        "Mcp-Method": st.sampled_from(METHODS),
        "Mcp-Name": st.sampled_from([*TOOLS, "=?base64?c2VuZA==?=", "=?base64?x?="]),
        "Agent-Bus-Agent": st.sampled_from(["gamma", "alpha", "nobody", ""]),
    },
)


def call(tool: str, **arguments: object) -> bytes:
    params = {"name": tool, "arguments": arguments}
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return json.dumps(request).encode()


@given(BODIES, HEADERS)
@example(call("status", id="\ud800"), {})
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_body_gets_an_answer_of_json_rpc_or_none(
    hub: HubProcess, body: bytes, headers: dict[str, str]
) -> None:
    reply = hub.client("n2").call("POST", "/mcp", body, headers)
    assert reply.status in {200, 202, 400, 404}, reply.body
    if reply.status == 202:
        assert reply.body is None
        return
    answer: dict[str, Any] = reply.body
    assert answer["jsonrpc"] == "2.0"
    assert ("result" in answer) is not ("error" in answer)
    assert "has a defect" not in json.dumps(answer)


def test_the_hub_found_nothing_to_complain_of(hub: HubProcess) -> None:
    """After all that: what it logs would be a defect."""
    assert "A tool failed" not in hub.log()
    assert "Traceback" not in hub.log()
