"""The methods and the tools, over a bus that answers from a table."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus_mcp import protocol, table
from agent_bus_mcp.caller import RefusedError, Sent
from agent_bus_mcp.protocol import RpcError
from agent_bus_mcp.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
META: dict[str, Any] = {protocol.VERSION_KEY: protocol.MODERN, protocol.CAPABILITIES_KEY: {}}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def message(**more: Any) -> dict[str, Any]:
    return {
        "id": ID, "from_agent": "beta", "priority": "normal", "subject": None, "reply_to": None,
        "created_at": "2026-11-20T00:00:00.000Z", "thread_id": ID, "body": "the body",
        "data": None, "fetched_at": None, "fetch_count": 0, "deliveries": [], **more,
    }  # fmt: skip


class PlayedBus:
    """A bus with one message."""

    agent = "alpha"
    lost: frozenset[str] = frozenset()

    def __init__(self, *, found: dict[str, Any] | None = None) -> None:
        self.found = found or message()
        self.sent: list[tuple[dict[str, Any], str | None, str | None]] = []
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.heard: list[str] = []

    def now(self) -> float:
        return time.time()

    def render(self, words: Callable[[], str]) -> str:
        return words()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Any:
        self.asked.append((f"{method} {path}", dict(query or body or {})))
        if path == "/api/inbox":
            return {"messages": [self.found], "unread": 1, "next_cursor": None}
        if path == "/api/ack":
            return {"acked": [ID], "already_acked": [], "unknown": []}
        if path == "/api/history":
            return {"messages": [self.found], "next_cursor": "next"}
        agent = {"name": "alpha", "node": "n1", "status": "online", "unread": 1, "unfetched": 1}
        return {"agents": [{**agent, "last_seen_at": None}], "groups": {"all-of-us": ["alpha"]}}

    def message(self, message_id: str) -> dict[str, Any]:
        if message_id != ID:
            raise RefusedError("No message", code="unknown_message")
        return self.found

    def deliver(self, request: dict[str, Any], key: str | None, reply_to: str | None) -> Sent:
        self.sent.append((request, key, reply_to))
        return Sent(f"sent {ID}", is_sent=True)

    def notices(self) -> list[str]:
        return self.heard


def server(instructions: str = "You are alpha.") -> Server:
    return Server(version="1.2.3", instructions=lambda: instructions)


def answer(
    method: str, params: dict[str, Any] | None = None, *, bus: PlayedBus | None = None
) -> Any:
    """The result of a request of 2026-07-28."""
    request = protocol.Request(0, method, {"_meta": META, **(params or {})})
    response, _ = server().answer(request, lambda: bus or PlayedBus())
    json.loads(protocol.encode(response))
    return response["result"]


def call(tool: str, bus: PlayedBus | None = None, /, **arguments: Any) -> tuple[str, bool]:
    """A tool's text, and whether it is an error."""
    result = answer("tools/call", {"name": tool, "arguments": arguments}, bus=bus)
    assert set(result) == {"resultType", "content", "isError", "_meta"}
    (content,) = result["content"]
    assert content["type"] == "text"
    return content["text"], result["isError"]


def test_all_that_modern_clients_need_is_in_each_result() -> None:
    for method in ("server/discover", "tools/list"):
        result = answer(method)
        assert (result["resultType"], result["cacheScope"]) == ("complete", "private")
        assert result["ttlMs"] >= 0
        assert result["_meta"][protocol.SERVER_KEY]["name"] == "agent-bus"
        assert "nextCursor" not in result
    assert answer("server/discover")["capabilities"] == {"tools": {}}


def test_no_list_changes_are_announced_and_no_bus_is_needed_to_begin() -> None:
    def bus() -> PlayedBus:
        raise AssertionError

    for method in ("initialize", "ping", "tools/list"):
        response, _ = server().answer(protocol.Request(1, method, {}), bus)
        assert "listChanged" not in json.dumps(response)


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        (None, "2025-11-25"),
        (7, "2025-11-25"),
        ([], "2025-11-25"),
    ],
)
def test_initialize_answers_the_offered_version_or_the_newest(
    offered: object, spoken: str
) -> None:
    request = protocol.Request(1, "initialize", {"protocolVersion": offered})
    response, _ = server().answer(request, PlayedBus)
    assert response["result"]["protocolVersion"] == spoken
    assert response["result"]["serverInfo"]["version"] == "1.2.3"
    assert response["result"]["instructions"] == "You are alpha."


def test_every_tool_is_complete_and_in_its_place() -> None:
    tools = answer("tools/list")["tools"]
    names = ["send", "inbox", "reply", "ack", "agents", "thread", "status", "ask", "answer"]
    assert [tool["name"] for tool in tools] == names
    for tool in tools:
        assert tool["inputSchema"]["type"] == "object"
        assert tool["inputSchema"]["additionalProperties"] is False
        hints = tool["annotations"]
        kinds = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
        assert all(isinstance(hints[kind], bool) for kind in kinds)
        assert not hints["destructiveHint"]
        assert not hints["openWorldHint"]
        assert hints["title"] == tool["title"]
        assert "outputSchema" not in tool
        assert len(tool["description"]) < 300
    at_once = [tool["name"] for tool in tools if "_meta" in tool]
    assert at_once == ["send", "inbox", "reply", "ack"]


@pytest.mark.parametrize("method", ["resources/list", "ping", "initialize", "", "x" * 10_000])
def test_unknown_methods_are_said_to_be_unknown(method: str) -> None:
    with pytest.raises(RpcError) as caught:
        answer(method)
    assert caught.value.code == protocol.UNKNOWN_METHOD
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("params", [{}, {"name": 7}, {"name": "nothing"}, {"name": ["send"]}])
def test_an_unknown_tool_is_an_error_that_names_the_tools(params: dict[str, Any]) -> None:
    with pytest.raises(RpcError, match="send, inbox") as caught:
        answer("tools/call", params)
    assert caught.value.code == protocol.INVALID_PARAMS


@pytest.mark.parametrize(
    ("to", "sent"),
    [
        ("beta", {"to": "beta"}),
        ("beta, @greeks,", {"to": ["beta", "@greeks"]}),
        ("all", {}),
    ],
)
def test_a_send_is_addressed_as_on_the_command_line(to: str, sent: dict[str, Any]) -> None:
    bus = PlayedBus()
    assert call("send", bus, to=to, body="x", key="k", subject=None) == (f"sent {ID}", False)
    assert bus.sent == [({"from": "alpha", "body": "x", **sent}, "k", None)]


def test_a_reply_can_ack() -> None:
    bus = PlayedBus()
    words, _ = call("reply", bus, id=ID, body="x", ack=True)
    assert words == f"sent {ID}\nacked {ID}"
    assert bus.sent == [({"from": "alpha", "body": "x", "reply_to": ID}, None, ID)]
    assert bus.asked == [("POST /api/ack", {"agent": "alpha", "ids": [ID]})]


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("send", {"body": "x"}, "to is missing. send takes: to, body, subject?"),
        ("send", {"to": "beta", "body": " "}, "body: it is empty"),
        ("send", {"to": " , ", "body": "x"}, "to: it is empty"),
        ("send", {"to": ["beta"], "body": "x"}, "to: a string is expected"),
        ("send", {"to": "b", "body": "x", "priority": "low"}, "priority: one of normal, high"),
        ("send", {"to": "b", "body": "x", "data": "{}"}, "data: a JSON object is expected"),
        ("inbox", {"wait_s": 51}, "wait_s: a number from 0 to 50 is expected"),
        ("inbox", {"wait_s": True}, "wait_s: a number is expected"),
        ("inbox", {"limit": 1.5}, "limit: a whole number is expected"),
        ("inbox", {"wiat_s": 5}, "'wiat_s' is unknown"),
        ("ack", {}, "give either ids or up_to"),
        ("ack", {"ids": []}, "ids: a list of strings is expected"),
        ("ack", {"ids": [7]}, "ids: a list of strings is expected"),
        ("thread", {"id": ID, "part": 2}, "has 1 part(s)"),
        ("status", {"id": "x"}, "tool inbox shows the ids"),
    ],
)
def test_bad_arguments_are_said_so_that_a_model_mends_them(
    tool: str, arguments: dict[str, Any], words: str
) -> None:
    said, is_error = call(tool, **arguments)
    assert is_error
    assert words in said


def test_what_models_often_write_is_taken_as_they_mean_it() -> None:
    bus = PlayedBus()
    assert call("ack", bus, ids=ID, up_to=None) == ("acked 1", False)
    call("inbox", bus, limit=5.0)
    assert bus.asked[-1][1]["limit"] == 5


def test_what_was_shown_to_nobody_is_shown_whole() -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    bus = PlayedBus(found=message(fetched_at=now))
    assert "the body" not in call("inbox", bus)[0]
    assert "the body" in call("inbox", bus, all=True)[0]
    bus.lost = frozenset([ID])
    assert "the body" in call("inbox", bus)[0]


def test_mail_that_was_given_up_is_said_first() -> None:
    bus = PlayedBus()
    bus.heard = ["warning: lost"]
    assert call("send", bus, to="beta", body="x")[0] == f"warning: lost\nsent {ID}"


def test_long_bodies_and_data_come_in_parts_that_miss_nothing() -> None:
    bus = PlayedBus(found=message(body="b" * 20_000, data={"d": "d" * 9000}))
    parts = [call("thread", bus, id=ID, part=n)[0] for n in range(1, 6)]
    assert sum(part.count("b" * 1000) for part in parts) >= 18
    assert "".join(parts).count("d") > 9000
    assert "part 5 of 5 (data)" in parts[4]
    assert "next:" not in parts[4]
    assert call("thread", bus, id=ID, part=6)[1]


def test_no_result_is_longer_than_20_kb() -> None:
    bus = PlayedBus(found=message(body="\u202e" * 60_000, subject="s" * 200))
    bus.heard = ["warning: " + "x" * 1000] * 30
    for tool in ("inbox", "thread"):
        words, _ = call(tool, bus, **({"id": ID} if tool == "thread" else {}))
        assert len(words.encode()) <= 20 * 1024
        assert words.endswith("cut at 20 kB: ask for less with limit, where there is one")


def test_a_defect_is_said_without_a_traceback_and_told_to_the_server() -> None:
    found: list[Exception] = []
    broken = Server(version="1", instructions=str, on_defect=found.append)
    bus = PlayedBus(found={"no": "message"})
    request = protocol.Request(1, "tools/call", {"name": "inbox"})
    response, _ = broken.answer(request, lambda: bus)
    words = response["result"]["content"][0]["text"]
    assert words == "the tool inbox has a defect (KeyError: 'id'): tell the operator"
    assert isinstance(found[0], KeyError)


def test_a_release_that_is_gone_is_said() -> None:
    def bus() -> PlayedBus:
        raise ModuleNotFoundError

    request = protocol.Request(1, "tools/call", {"name": "inbox"})
    result = server().answer(request, bus)[0]["result"]
    assert result["isError"]
    assert "start the server again" in result["content"][0]["text"]


@given(st.sampled_from([tool.name for tool in table.TOOLS]), st.dictionaries(st.text(), VALUES))
def test_any_arguments_are_answered(tool: str, arguments: dict[str, Any]) -> None:
    words, _ = call(tool, **arguments)
    assert words


@given(st.data())
def test_any_values_of_known_arguments_are_answered(data: st.DataObject) -> None:
    tool = data.draw(st.sampled_from(table.TOOLS))
    known = dict.fromkeys(tool.schema["properties"], VALUES)
    arguments = data.draw(st.fixed_dictionaries({}, optional=known))
    assert call(tool.name, **arguments)[0]
