"""The tool `send` says the same whether the loop itself begins it or a greenlet carries it out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.mcp import META, MODERN

if TYPE_CHECKING:
    from tests.support.hub import HubProcess

LEGACY = "2025-06-18"
GREENLETS = {"X-Forwarded-For": "192.0.2.1"}
"""What proxies say is read by gunicorn, in a greenlet."""
CASES: dict[str, dict[str, Any]] = {
    "accepted": {"to": "delta", "body": "x"},
    "to several, with all that there is": {
        "to": "delta, alpha",
        "body": "x",
        "subject": "s",
        "priority": "urgent",
        "data": {"k": [1]},
        "expires_in_s": 60,
        "key": "a-key",
    },
    "to all": {"to": "all", "body": "x"},
    "to nobody": {"to": " , ", "body": "x"},
    "to somebody unknown": {"to": "dellta", "body": "x"},
    "an argument that is unknown": {"to": "delta", "body": "x", "colour": "red"},
    "an argument that is missing": {"to": "delta"},
    "a key that is taken": {"to": "delta", "body": "another", "key": "a-key"},
    "a subject that is too long": {"to": "delta", "body": "x", "subject": "s" * 300},
}


def asked(
    hub: HubProcess, arguments: dict[str, Any], *, is_modern: bool, **headers: str
) -> tuple[int, Any]:
    """Status and body of a call of the tool by gamma, without what is new in each."""
    meta = {"_meta": META} if is_modern else {}
    params = {"name": "send", "arguments": arguments, **meta}
    named = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "send"}
    sent = named if is_modern else {"MCP-Protocol-Version": LEGACY}
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = hub.client("n2").call("POST", "/mcp", body, {**sent, **more})
    content = reply.body.get("result", {}).get("content", [])
    for part in content:
        part["text"] = re.sub(r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "ID", part["text"])
    return reply.status, reply.body


@pytest.mark.parametrize("is_modern", [True, False], ids=["modern", "legacy"])
@pytest.mark.parametrize("case", CASES)
def test_both_ways_answer_alike(hub: HubProcess, case: str, *, is_modern: bool) -> None:
    arguments = {**CASES[case], "key": f"{is_modern}"} if "key" in CASES[case] else CASES[case]
    first = asked(hub, arguments, is_modern=is_modern)
    assert first == asked(hub, arguments, is_modern=is_modern, **GREENLETS)
    assert first[0] == 200


@pytest.mark.parametrize("ways", [({}, GREENLETS), (GREENLETS, {})], ids=["loop", "greenlet"])
def test_a_key_is_one_message_whichever_way_it_comes(
    hub: HubProcess, ways: tuple[dict[str, str], dict[str, str]], request: pytest.FixtureRequest
) -> None:
    arguments = {"to": "delta", "body": "x", "key": request.node.name}
    before = hub.client("n2").get("/api/stats").body["messages"]["head"]
    for way in ways:
        assert asked(hub, arguments, is_modern=True, **way)[0] == 200
    assert hub.client("n2").get("/api/stats").body["messages"]["head"] == before + 1


@pytest.mark.parametrize("wrong", ["Mcp_Name", "Origin"])
def test_what_is_wrong_with_a_request_is_said_on_both_ways(hub: HubProcess, wrong: str) -> None:
    headers = {wrong: "http://elsewhere"}
    first = asked(hub, CASES["accepted"], is_modern=True, **headers)
    assert first == asked(hub, CASES["accepted"], is_modern=True, **headers, **GREENLETS)
    assert first[0] in {400, 403}
    assert "error" in first[1]
