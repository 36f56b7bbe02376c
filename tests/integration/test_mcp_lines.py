"""Any line on stdin is answered by JSON-RPC or not at all; nothing is ever said on stderr."""

from __future__ import annotations

import json
import queue
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.mcp import META, McpProcess
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOOLS = ["send", "inbox", "reply", "ack", "agents", "thread", "status", "nothing"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | VALUES,
        "id": st.integers() | st.text() | VALUES,
        "method": st.sampled_from(["initialize", "ping", "tools/list", "server/discover"])
        | VALUES,
        "params": st.fixed_dictionaries({}, optional={"_meta": st.just(META) | VALUES}) | VALUES,
    },
)
CALLS = st.fixed_dictionaries(
    {
        "jsonrpc": st.just("2.0"),
        "id": st.integers(),
        "method": st.just("tools/call"),
        "params": st.fixed_dictionaries(
            {
                "name": st.sampled_from(TOOLS),
                "arguments": st.dictionaries(
                    st.sampled_from(["to", "body", "id", "ids", "limit", "all", "part"]),
                    VALUES,
                    max_size=3,
                )
                | VALUES,
                "_meta": st.just(META),
            }
        ),
    }
)
LINES = st.one_of(
    st.binary(max_size=200).map(lambda raw: raw.replace(b"\n", b" ")),
    (VALUES | NEARLY | CALLS).map(lambda value: json.dumps(value).encode()),
    st.text(max_size=50).map(lambda text: text.encode("utf-8", "replace").replace(b"\n", b" ")),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpProcess]:
    """A server whose hub is away for good."""
    folder: Path = tmp_path_factory.mktemp("node")
    (folder / "outbox").mkdir()
    config, token = folder / "node.json", folder / "token"
    token.write_text("t" * 43, encoding="ascii")
    node = {
        "node": "n1",
        "hub_url": f"http://127.0.0.1:{free_port()}",
        "agents": [{"name": "alpha"}],
    }
    config.write_text(json.dumps({**node, "outbox_dir": str(folder / "outbox")}), encoding="utf-8")
    started = McpProcess(["--config", str(config), "--token-file", str(token)])
    yield started
    assert started.end() == ""


def answers_to(server: McpProcess, lines: list[bytes]) -> list[dict[str, Any]]:
    """All answers to some lines: the answer to a last request of our own ends them."""
    assert server.process.stdin is not None
    server.process.stdin.write(b"".join(line + b"\n" for line in lines))
    marker = {"jsonrpc": "2.0", "id": "the end of these", "method": "server/discover"}
    server.write({**marker, "params": {"_meta": META}})
    found: list[dict[str, Any]] = []
    while True:
        answer = server.next()
        if answer["id"] == marker["id"] and "result" in answer:
            return found
        found.append(answer)


def is_answerable(line: bytes) -> bool:
    """Whether a line wants an answer: it is no notification, no answer, and not blank."""
    try:
        value = json.loads(line, parse_constant=lambda _: 1 / 0)
    except (ValueError, RecursionError, ZeroDivisionError):
        return bool(line.strip())
    if not isinstance(value, dict):
        return True
    is_answer = value.get("method") is None and ("result" in value or "error" in value)
    is_notification = "id" not in value and isinstance(value.get("method"), str)
    return not (is_answer or is_notification)


@given(st.lists(LINES, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_line_is_answered_or_ignored_and_the_server_goes_on(
    server: McpProcess, lines: list[bytes]
) -> None:
    found = answers_to(server, lines)
    for answer in found:
        assert answer["jsonrpc"] == "2.0"
        assert ("result" in answer) is not ("error" in answer)
        assert isinstance(answer["id"], (str, int, float, type(None)))
    assert len(found) == sum(is_answerable(line) for line in lines)
    assert server.process.poll() is None


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"[" * 200_000, -32700),
        (b"[]", -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b"x" * 5_000_000, -32700),
        (b'"' + b"x" * 9_000_000 + b'"', -32700),
    ],
)
def test_what_makes_no_sense_gets_one_error(server: McpProcess, line: bytes, code: int) -> None:
    (answer,) = answers_to(server, [line])
    assert answer["error"]["code"] == code


def test_blank_lines_and_notifications_get_none(server: McpProcess) -> None:
    lines = [
        b"",
        b"  ",
        b'{"method":"x"}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled"}',
    ]
    assert answers_to(server, lines) == []
    with pytest.raises(queue.Empty):
        server.answers.get_nowait()


def test_a_last_line_without_an_end_is_answered() -> None:
    server = McpProcess(["--as", "alpha"])
    assert server.process.stdin is not None
    server.process.stdin.write(b'{"jsonrpc":"2.0","id":0,"method":"ping"}')
    assert server.end() == ""
    assert server.next() == {"jsonrpc": "2.0", "id": 0, "result": {}}


def test_a_request_that_says_no_version_needs_an_initialize_before(server: McpProcess) -> None:
    fresh = McpProcess(["--as", "alpha"])
    assert fresh.request("tools/list", modern=False)["error"]["code"] == -32602
    assert fresh.request("server/discover", modern=False)["error"]["code"] == -32602
    begun = fresh.request("initialize", {"protocolVersion": "2025-06-18"}, modern=False)["result"]
    assert begun["protocolVersion"] == "2025-06-18"
    listed = fresh.request("tools/list", modern=False)["result"]
    assert "resultType" not in listed
    assert fresh.request("server/discover", modern=False)["error"]["code"] == -32602
    assert fresh.request("resources/list", modern=False)["error"]["code"] == -32601
    assert fresh.request("tools/list")["result"]["tools"] == listed["tools"]  # both eras at once
    assert fresh.request("ping")["error"]["code"] == -32601
    assert fresh.end() == ""
