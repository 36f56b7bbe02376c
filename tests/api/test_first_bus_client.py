"""A client of the first bus, changed in one thing: it sends an Authorization header."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.support.hub import running
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

HEADERS = {"Authorization": "Bearer token-n3"}  # the one line that was added


def listen(port: int, me: str) -> Generator[dict[str, Any], None, None]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=patience())) as bus:
        bus.request("GET", "/api/stream", headers=HEADERS)
        with bus.getresponse() as lines:
            for line in lines:
                if line.startswith(b"data:"):
                    message = json.loads(line[5:])
                    if message["to_agent"] == me:
                        yield message


def ask(port: int, method: str, path: str, body: Any = None) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=patience())) as bus:
        bus.request(method, path, json.dumps(body) if body else None, HEADERS)
        with bus.getresponse() as answer:
            return json.loads(answer.read())


def test_it_listens_answers_and_looks_around_as_ever(tmp_path: Path) -> None:
    with running(tmp_path, keepalive_s=0.1) as hub:
        first = hub.client("n2").send("ping", to="delta")["id"]
        messages = listen(hub.port, "delta")
        assert next(messages)["id"] == first
        second = hub.client("n2").send("pong", to="delta")["id"]
        assert next(messages)["body"] == "pong"  # hello and keepalives passed unnoticed
        messages.close()
        reply = {"to": "gamma", "body": "both read", "reply_to": second}
        answer = ask(hub.port, "POST", "/send", reply)
        assert [entry["id"] for entry in ask(hub.port, "GET", "/inbox")["messages"]] == [
            first,
            second,
        ]
        assert ask(hub.port, "POST", "/ack", {"ids": [first, second]})["acked"] == [first, second]
        assert ask(hub.port, "GET", "/history")["messages"][0]["id"] == answer["id"]
        assert ask(hub.port, "GET", "/agents")["agents"][0]["name"] == "alpha"
        assert ask(hub.port, "GET", "/stats")["messages"]["accepted"] == 3
        received = hub.client("n2").get("/api/inbox").body["messages"][0]
        assert (received["from_agent"], received["reply_to"]) == ("delta", second)
