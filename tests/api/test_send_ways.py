"""A send is the same on every way through the server: the short one, gunicorn's, Flask's.

The short one begins with a connection's second request, so that every way is taken twice.
"""

from __future__ import annotations

import itertools
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.patience import patience

if TYPE_CHECKING:
    from tests.support.hub import HubProcess

WAYS = {
    "short": "POST /api/send HTTP/1.1\r\nHost: hub\r\n",
    "short, first bus": "POST /send HTTP/1.1\r\nHost: hub\r\n",
    "gunicorn's": "POST /api/send HTTP/1.1\r\nHost: hub\r\nConnection: keep-alive\r\n",
    "Flask's": "POST /api/send/ HTTP/1.1\r\nHost: hub\r\n",
}
CASES: dict[str, tuple[dict[str, str], bytes]] = {
    "accepted": ({}, b'{"to": "delta", "body": "x"}'),
    "malformed": ({}, b"{"),
    "unknown field": ({}, b'{"to": "delta", "body": "x", "colour": 1}'),
    "unknown recipient": ({}, b'{"to": "dellta", "body": "x"}'),
    "forbidden": ({}, b'{"from": "alpha", "to": "delta", "body": "x"}'),
    "no token": ({"Authorization": ""}, b'{"to": "delta", "body": "x"}'),
    "wrong token": ({"Authorization": "Bearer nonsense"}, b'{"to": "delta", "body": "x"}'),
    "too large": ({}, b'{"to": "delta", "body": "' + b"x" * 70_000 + b'"}'),
    "empty": ({}, b""),
}
CHANGING = ("id", "thread_id", "created_at")


def received(peer: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The next answer: status, headers (lower case) and body."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = peer.recv(65536)
        assert piece, f"the hub hung up after {answer!r}"
        answer += piece
    raw_head, _, payload = answer.partition(b"\r\n\r\n")
    status, *raw_fields = raw_head.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in raw_fields)
    while len(payload) < int(fields["content-length"]):
        payload += peer.recv(65536)
    return int(status.split()[1]), fields, payload


def exchange(port: int, head: str, headers: dict[str, str], body: bytes) -> tuple[int, str, Any]:
    """The second request of a connection: status, content type, decoded body."""
    sent = {"Authorization": "Bearer token-n2", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
    with socket.create_connection(("127.0.0.1", port), timeout=patience()) as peer:
        peer.sendall(b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert received(peer)[0] == 200
        peer.sendall(f"{head}{lines}\r\n".encode() + body)
        status, fields, payload = received(peer)
        assert "date" in fields
        return status, fields["content-type"], json.loads(payload)


@pytest.mark.parametrize("case", CASES)
def test_every_way_answers_alike(hub: HubProcess, case: str) -> None:
    headers, body = CASES[case]
    answers = []
    for head in WAYS.values():
        status, kind, content = exchange(hub.port, head, headers, body)
        for name in CHANGING:
            content.pop(name, None)
        for recipient in content.get("recipients", ()):
            recipient.pop("seq")
        answers.append((status, kind, content))
    for first, second in itertools.pairwise(answers):
        assert first == second


def test_a_key_is_one_message_whichever_way_it_comes(hub: HubProcess) -> None:
    body = b'{"to": "delta", "body": "once"}'
    headers = {"Idempotency-Key": "one-for-all-ways"}
    ids = {exchange(hub.port, head, headers, body)[2]["id"] for head in WAYS.values()}
    assert len(ids) == 1


@pytest.mark.parametrize("head", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("framing", ["Content-Length: 500", "Transfer-Encoding: chunked"])
def test_a_request_that_breaks_off_is_no_message(hub: HubProcess, head: str, framing: str) -> None:
    """RFC 9112, section 8: what came of the body may look whole and is not."""
    before = hub.client("n2").get("/api/stats").body["messages"]["head"]
    fields = f"Authorization: Bearer token-n2\r\n{framing}\r\n\r\n"
    size = "1a\r\n" if "chunked" in framing else ""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=patience()) as peer:
        peer.sendall(f'{head}{fields}{size}{{"to": "delta", "body": "x"}}'.encode())
        peer.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: peer.recv(65536), b""))
    assert not answer or answer.split()[1] == b"400", answer
    assert "Traceback" not in hub.log()
    assert hub.client("n2").get("/api/stats").body["messages"]["head"] == before


def test_requests_that_follow_each_other_on_a_connection_are_answered_in_order(
    hub: HubProcess,
) -> None:
    body = b'{"to": "delta", "body": "x"}'
    auth = "Authorization: Bearer token-n2\r\n"
    send = f"POST /send HTTP/1.1\r\nHost: hub\r\n{auth}Content-Length: {len(body)}\r\n\r\n"
    large = f"POST /send HTTP/1.1\r\nHost: hub\r\n{auth}Content-Length: 70000\r\n\r\n"
    last = f"GET /livez HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n{auth}\r\n"
    with socket.create_connection(("127.0.0.1", hub.port), timeout=patience()) as peer:
        peer.sendall(send.encode() + body + large.encode() + b"x" * 70_000 + send.encode() + body)
        peer.sendall(last.encode())
        answer = b""
        while piece := peer.recv(65536):
            answer += piece
    found = [part.split()[0] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert found == [b"201", b"413", b"201", b"200"]
