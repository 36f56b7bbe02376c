"""Whatever comes as a request is answered by JSON-RPC, or as A2A's HTTP; never by a defect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tests.support.dice  # noqa: F401 - sets property tests up
from tests.support.hub import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hub import Client

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
METHODS = ["SendMessage", "GetTask", "ListTasks", "CancelTask", "message/send", "tasks/get", "x"]
FIELDS = [
    "message", "id", "configuration", "messageId", "role", "parts", "text", "data", "kind",
    "contextId", "taskId", "metadata", "agent-bus", "pageSize", "pageToken", "status",
    "statusTimestampAfter", "historyLength", "returnImmediately", "subject", "priority",
]  # fmt: skip
ALMOST = st.recursive(
    LEAVES | st.sampled_from(["ROLE_USER", "user", "1.0", "TASK_STATE_WORKING"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
    ),
    max_leaves=15,
)
REQUESTS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "id": ANYTHING, "method": st.sampled_from(METHODS)},
    optional={"params": ALMOST},
)
MESSAGES = st.fixed_dictionaries(
    {
        "messageId": st.text(min_size=1, max_size=20),
        "role": st.just("ROLE_USER"),
        "parts": st.lists(
            st.fixed_dictionaries({}, optional={"text": st.text(max_size=20), "data": ANYTHING}),
            min_size=1,
            max_size=3,
        ),
    },
    optional={"contextId": st.text(max_size=20), "taskId": st.text(max_size=30)},
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    limits = {"sends_per_s": 10_000, "send_burst": 10_000}
    with running(tmp_path_factory.mktemp("hub"), **limits) as hub:
        yield hub.client("n3")
        assert "Traceback" not in hub.log()


def is_answer(client: Client, body: Any, version: str = "1.0") -> None:
    reply = client.call("POST", "/a2a/alpha", body, {"A2A-Version": version})
    assert reply.status == 200, reply.body
    assert reply.body["jsonrpc"] == "2.0"
    assert ("result" in reply.body) != ("error" in reply.body)
    if "error" in reply.body:
        error = reply.body["error"]
        assert -32768 <= error["code"] <= -32000
        assert error["code"] != -32603, error
        assert error["message"]
        assert error["data"][0]["@type"].endswith("ErrorInfo")


@given(ANYTHING)
def test_any_json_value_is_answered(client: Client, value: Any) -> None:
    is_answer(client, value)


@given(st.binary(max_size=40))
def test_any_bytes_are_answered(client: Client, value: bytes) -> None:
    is_answer(client, value)


@pytest.mark.parametrize("version", ["1.0", "0.3"])
@given(value=REQUESTS)
def test_any_request_is_answered(client: Client, version: str, value: Any) -> None:
    is_answer(client, value, version)


@given(message=MESSAGES)
def test_any_message_is_answered(client: Client, message: Any) -> None:
    params = {"message": message, "configuration": {"returnImmediately": True}}
    is_answer(client, {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params})


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":'
        + b"[" * 5_000
        + b"]" * 5_000
        + b"}",
        b'{"jsonrpc":"2.0","id":1,"method":"\\ud800","params":{}}',
        b'{"jsonrpc":"2.0","id":"\\ud800","method":"GetTask"}',
        b'{"jsonrpc":"2.0","id":1e999,"method":"GetTask"}',
        b"1" * 5000,
        b"",
    ],
    ids=lambda value: value[:20].decode(),
)
def test_what_breaks_decoders_is_answered(client: Client, value: bytes) -> None:
    reply = client.call("POST", "/a2a/alpha", value, {"A2A-Version": "1.0"})
    assert reply.status in {200, 413}
    assert reply.status == 413 or "error" in reply.body


@given(value=ANYTHING)
@settings(max_examples=50)
def test_any_json_value_is_answered_by_http_json(client: Client, value: Any) -> None:
    reply = client.call("POST", "/a2a/alpha/message:send", value, {"A2A-Version": "1.0"})
    assert reply.status == 400, reply.body
    assert reply.body["error"]["details"][0]["reason"] in {"INVALID_PARAMS", "JSON_PARSE_ERROR"}
