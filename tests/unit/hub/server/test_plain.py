"""What is remembered of a head never changes what a request means."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus.http.call import PlainRequest
from agent_bus.http.route import Header
from agent_bus.server.plain import HEADS_KEPT, REQUEST_BYTES, Heads, PlainReader

FIRST = "POST /api/send HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer secret\r\n"


def heads() -> Heads:
    key, agent = Header("Idempotency-Key"), Header("Agent-Bus-Agent")
    return Heads({b"/api/send": [key], b"/mcp": [agent]})


def reader(known: Heads | None = None) -> PlainReader:
    return PlainReader(known or heads(), "127.0.0.1", None)


def asked(body: str = "x", *, more: str = "", length: str | None = None) -> bytes:
    said = str(len(body)) if length is None else length
    return f"{FIRST}Content-Length: {said}\r\n{more}\r\n{body}".encode()


def found(by: PlainReader, received: bytes) -> PlainRequest:
    request = by.read(received)
    assert isinstance(request, PlainRequest)
    return request


def test_a_request_is_read_into_what_an_endpoint_needs() -> None:
    more = "Idempotency-Key: k\r\nAgent-Bus-Agent: alpha\r\nX-Other: y\r\n"
    assert found(reader(), asked("body", more=more)) == PlainRequest(
        b"/api/send",
        hashlib.sha256(b"secret").hexdigest(),
        {"idempotency-key": "k"},
        b"body",
        "127.0.0.1",
        None,
        closes=False,
    )


def test_a_route_gets_the_headers_that_it_reads() -> None:
    one = reader()
    more = "Idempotency-Key: k\r\nAgent-Bus-Agent: alpha\r\n"
    received = asked("body", more=more).replace(b"/api/send", b"/mcp")
    for _ in range(2):
        assert found(one, received).headers == {"agent-bus-agent": "alpha"}


def test_the_same_head_with_another_length_and_key_is_known_and_has_its_own_values() -> None:
    one = reader()
    for body, key in (("a", "first"), ("bb", "second"), ("a" * 300, "x" * 255)):
        request = found(one, asked(body, more=f"Idempotency-Key: {key}\r\n"))
        assert request.body == body.encode()
        assert request.headers["idempotency-key"] == key
    assert len(one._heads._known) == 1


def test_an_empty_key_is_not_taken_for_one_that_was_left_out() -> None:
    one = reader()
    found(one, asked(more="Idempotency-Key: first\r\n"))
    assert found(one, asked(more="Idempotency-Key: \r\n")).headers["idempotency-key"] == ""
    second = found(one, asked(more="Idempotency-Key: second\r\n"))
    assert second.headers["idempotency-key"] == "second"


@pytest.mark.parametrize("key", ["two words", " led", "tab\tbed", "\xe9"])
def test_an_unusual_key_is_read_as_it_is(key: str) -> None:
    one = reader()
    found(one, asked(more="Idempotency-Key: usual\r\n"))
    more = f"Idempotency-Key: {key}\r\n".encode("latin-1").decode("latin-1")
    received = asked(more=more).decode().encode("latin-1")
    assert found(one, received).headers["idempotency-key"] == key.strip(" \t")


def test_no_token_is_kept_longer_than_its_connection() -> None:
    known = heads()
    found(reader(known), asked())
    assert known._known
    assert "secret" not in repr(known._known)


def test_what_is_remembered_is_bounded() -> None:
    one = reader()
    for number in range(HEADS_KEPT + 10):
        found(one, asked(more=f"X-Trace: {number}\r\n"))
    assert len(one._heads._known) == HEADS_KEPT


@pytest.mark.parametrize(
    ("wish", "closes"), [("close", True), ("Close", True), ("keep-alive", False)]
)
def test_the_end_of_a_connection_may_be_asked_for(wish: str, *, closes: bool) -> None:
    one = reader()
    for _ in range(2):
        assert found(one, asked(more=f"Connection: {wish}\r\n")).closes == closes
        assert not found(one, asked()).closes


WHOLE = asked("the body")


@pytest.mark.parametrize("cut", [1, 5, 20, WHOLE.index(b"\r\n\r\n") + 2, len(WHOLE) - 1])
def test_a_part_of_a_request_is_not_whole_yet(cut: int) -> None:
    one = reader()
    for _ in range(2):
        assert one.read(WHOLE[:cut]) is True
        found(one, WHOLE)


UNUSUAL = {
    "another method": WHOLE.replace(b"POST", b"GET"),
    "another path": WHOLE.replace(b"/send", b"/sent"),
    "a query": WHOLE.replace(b"/send", b"/send?a=b"),
    "HTTP/1.0": WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "an empty line before": b"\r\n" + WHOLE,
    "one behind": WHOLE + WHOLE,
    "chunks": asked(more="Transfer-Encoding: chunked\r\n"),
    "a wish for 100": asked(more="Expect: 100-continue\r\n"),
    "an upgrade": asked(more="Connection: upgrade\r\n"),
    "two wishes": asked(more="Connection: close\r\nConnection: keep-alive\r\n"),
    "two lengths": asked(more="Content-Length: 1\r\n"),
    "two keys": asked(more="Idempotency-Key: a\r\nIdempotency-Key: b\r\n"),
    "two keys, one in small letters": asked(more="Idempotency-Key: a\r\nidempotency-key: b\r\n"),
    "no length": WHOLE.replace(b"Content-Length: 8\r\n", b""),
    "an empty length": asked("", length=""),
    "a length of nothing": asked("", length="0"),
    "a signed length": asked(length="+1"),
    "a length with a leading zero": asked(length="01"),
    "a large length": asked(length=str(REQUEST_BYTES)),
    "a folded line": asked(more="X: a\r\n b\r\n"),
    "NUL": asked(more="X: a\0b\r\n"),
    "NUL for a key": asked(more="Idempotency-Key: \0\r\n"),
    "a bare line feed": asked(more="X: y\n"),
    "an underscore": asked(more="Content_Length: 3\r\n"),
    "a proxy's header": asked(more="X-Forwarded-For: 10.0.0.1\r\n"),
    "a long head without an end": b"POST /" + b"x" * REQUEST_BYTES,
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_anything_unusual_is_left_alone_whatever_is_remembered(case: str) -> None:
    one = reader()
    for more in ("", "Idempotency-Key: a\r\n", "Connection: close\r\n"):
        found(one, asked(more=more))
    for _ in range(2):
        assert not isinstance(one.read(UNUSUAL[case]), PlainRequest)


LINES = st.sampled_from(
    [
        "Content-Length: 1", "content-length: 1", "CONTENT-LENGTH: 1", "Content-Length:  1",
        "Content-Length: 2", "Content-Length: ", "Content-Length: 1\r", "Content-Length: 1 ",
        "Idempotency-Key: a", "Idempotency-Key: ", "idempotency-key: b", "Idempotency-Key: c d",
        "Idempotency-Key: Content-Length: 1", "X: Idempotency-Key: e", " Idempotency-Key: f",
        "Connection: close", "X: y", "X: \0", "", "Transfer-Encoding: chunked",
        "Agent-Bus-Agent: alpha",
    ]
)  # fmt: skip
HEADS = st.lists(LINES, max_size=5).map(lambda lines: FIRST + "".join(f"{x}\r\n" for x in lines))


@given(st.lists(HEADS, min_size=2, max_size=6))
def test_who_remembers_reads_like_who_does_not(some: list[str]) -> None:
    known = heads()
    one = reader(known)
    for head in some:
        for body in ("x", "xy"):
            received = f"{head}\r\n{body}".encode("latin-1")
            expected = reader().read(received)
            assert one.read(received) == expected
            assert reader(known).read(received) == expected
