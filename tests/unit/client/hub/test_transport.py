"""The client against a socket that answers with bytes from the test."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from typing import TYPE_CHECKING, Self

import pytest

from agent_bus_client.errors import HubRefusedError, HubUnreachableError
from agent_bus_client.hub import transport
from agent_bus_client.hub.transport import HubClient, encode_query
from agent_bus_client.net import dial
from agent_bus_client.net.deadline import Deadline
from tests.support.patience import patience
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[HubClient, list[bytes]]]]:
    """Answer one request with the given bytes, then hang up (or stay silent)."""
    with contextlib.ExitStack() as stack:

        def start(answer: bytes, *, silent: bool = False) -> tuple[HubClient, list[bytes]]:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            requests: list[bytes] = []
            over = threading.Event()

            def run() -> None:
                peer, _ = listener.accept()
                with peer:
                    requests.append(peer.recv(65536))
                    peer.sendall(answer)
                    if silent:
                        over.wait(patience())

            thread = threading.Thread(target=run)
            thread.start()
            stack.callback(thread.join, patience())
            stack.callback(over.set)
            return HubClient(
                f"http://127.0.0.1:{listener.getsockname()[1]}", lambda: "secret"
            ), requests

        yield start


def test_a_call_carries_token_and_json(
    serve: Callable[..., tuple[HubClient, list[bytes]]],
) -> None:
    hub, requests = serve(b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"a": 1}')
    assert hub.call("POST", "/api/x", query={"a": "b c", "n": None}, body={"k": "\u00e9"}) == {
        "a": 1
    }
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/x?a=b%20c HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret" in head
    assert body == b'{"k": "\\u00e9"}'


@pytest.mark.parametrize(
    ("message_id", "segment"),
    [
        ("01M7", b"01M7"),
        ("../stats?x=1#y", b"..%2Fstats%3Fx%3D1%23y"),
        ("a b\r\nX-Evil: 1", b"a%20b%0D%0AX-Evil%3A%201"),
        ("\u4e16", b"%E4%B8%96"),
        ("\udcff", b"%3F"),
    ],
)
def test_an_id_stays_one_segment_of_its_path(
    serve: Callable[..., tuple[HubClient, list[bytes]]], message_id: str, segment: bytes
) -> None:
    hub, requests = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    assert hub.message(message_id) == {}
    request_line, *headers = requests[0].split(b"\r\n")
    assert request_line == b"GET /api/messages/" + segment + b" HTTP/1.1"
    assert not [header for header in headers if header.startswith(b"X-Evil")]


def test_no_content_is_none(serve: Callable[..., tuple[HubClient, list[bytes]]]) -> None:
    hub, _ = serve(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert hub.call("POST", "/api/x") is None


def test_a_problem_keeps_code_detail_and_retry_after(
    serve: Callable[..., tuple[HubClient, list[bytes]]],
) -> None:
    body = b'{"code": "rate_limited", "detail": "slow down"}'
    hub, _ = serve(b"HTTP/1.1 429 X\r\nRetry-After: 3\r\nContent-Length: 47\r\n\r\n" + body)
    with pytest.raises(HubRefusedError) as caught:
        hub.call("GET", "/api/x")
    error = caught.value
    assert (error.problem, error.retry_after_s, error.exit_code) == ("rate_limited", 3.0, 75)
    assert str(error) == "slow down (rate_limited)"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{x",
    ],
)
def test_half_an_answer_is_unreachable_and_may_have_been_sent(
    serve: Callable[..., tuple[HubClient, list[bytes]]], answer: bytes
) -> None:
    hub, _ = serve(answer)
    with pytest.raises(HubUnreachableError) as caught:
        hub.call("GET", "/api/x")
    assert caught.value.sent


def test_silence_ends_with_the_timeout(
    serve: Callable[..., tuple[HubClient, list[bytes]]],
) -> None:
    hub, _ = serve(b"HTTP/1.1 200 OK\r\nContent-Le", silent=True)
    with pytest.raises(HubUnreachableError, match="timed out"):
        hub.call("GET", "/api/x", timeout_s=0.2)


def test_nobody_there_was_not_sent() -> None:
    hub = HubClient(f"http://127.0.0.1:{free_port()}", lambda: "secret")
    with pytest.raises(HubUnreachableError, match="refused") as caught:
        hub.call("GET", "/api/x")
    assert not caught.value.sent


def test_a_stream_yields_events_and_notices_silence(
    serve: Callable[..., tuple[HubClient, list[bytes]]],
) -> None:
    frame = b"retry: 100\nid: e-1\ndata: {}\n\n"
    chunk = b"%x\r\n%s\r\n" % (len(frame), frame)
    hub, requests = serve(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, silent=True
    )
    stream = hub.open_stream({"role": "watcher"}, last_event_id="e-0")
    stream.keepalive_s = 0.1
    events = stream.events()
    assert next(events).event_id == "e-1"
    with pytest.raises(HubUnreachableError, match="timed out"):
        next(events)
    stream.close()
    assert (stream.last_event_id, stream.retry_ms) == ("e-1", 100)
    assert b"GET /api/stream?role=watcher HTTP/1.1" in requests[0]
    assert b"Last-Event-ID: e-0" in requests[0]


@pytest.mark.parametrize(("connect_s", "dead_s"), [(None, 30), (patience(), 8)])
def test_a_dead_host_is_noticed_sooner_where_another_hub_can_be_used(
    serve: Callable[..., tuple[HubClient, list[bytes]]],
    monkeypatch: pytest.MonkeyPatch,
    connect_s: float | None,
    dead_s: int,
) -> None:
    """Nobody says good-bye for a host that lost power: the kernel has to ask it."""
    noticed: list[tuple[socket.socket, int]] = []
    notice_death = dial.notice_death

    def watched(connected: socket.socket, within_s: int) -> None:
        notice_death(connected, within_s)
        noticed.append((connected, within_s))

    monkeypatch.setattr(dial, "notice_death", watched)
    hub, _ = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n: hi", silent=True)
    stream = hub.open_stream({}, last_event_id=None, connect_s=connect_s)
    connected, within_s = noticed[-1]
    assert within_s == dead_s
    assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    idle_s = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    asks_s = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
    ends_ms = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert idle_s + asks_s < ends_ms / 1000 == dead_s  # it is asked more than once before
    stream.close()


def test_queries_are_encoded() -> None:
    assert encode_query({}) == ""
    assert encode_query({"a": 1, "b": None, "c": "x&y"}) == "?a=1&c=x%26y"


class Trickling:
    """Accepts one connection; sends its bytes one by one, and the last one until it is cut off."""

    def __init__(self, answer: bytes, *, reads: bool = True) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.was_cut = threading.Event()
        self._answer = answer
        self._reads = reads
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        peer, _ = self.listener.accept()
        with peer, contextlib.suppress(OSError):
            if self._reads:
                peer.recv(65536)
            for place in itertools.count():
                peer.sendall(self._answer[place : place + 1] or self._answer[-1:])
                if self.was_cut.wait(0.02):
                    break
        self.was_cut.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(patience())
        self.was_cut.set()
        self.listener.close()


@pytest.mark.parametrize(
    ("answer", "scheme"),
    [
        (b"HTTP/1.1 200 OK\r\nX: aaaa", "http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\naa", "http"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0000", "http"),
        (b"\x16\x03\x03\x40\x00\x00", "https"),  # a record of 16 KiB, byte by byte
    ],
)
def test_a_peer_that_says_a_little_again_and_again_does_not_move_the_deadline(
    answer: bytes, scheme: str
) -> None:
    with Trickling(answer) as peer:
        hub = HubClient(f"{scheme}://127.0.0.1:{peer.port}", lambda: "secret")
        with pytest.raises(HubUnreachableError, match="timed out"):
            hub.call("GET", "/api/x", timeout_s=0.5)


def test_a_stream_whose_head_does_not_come_is_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "OPEN_TIMEOUT_S", 0.5)
    with Trickling(b"HTTP/1.1 200 OK\r\nX: aaaa") as peer:
        hub = HubClient(f"http://127.0.0.1:{peer.port}", lambda: "secret")
        with pytest.raises(HubUnreachableError, match="timed out"):
            hub.open_stream({}, last_event_id=None)


def test_a_request_that_is_not_taken_ends_with_the_deadline_and_may_have_been_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hub = HubClient(f"http://127.0.0.1:{listener.getsockname()[1]}", lambda: "secret")
        with pytest.raises(HubUnreachableError, match="timed out") as caught:
            hub.call("POST", "/api/x", body="x" * 20_000_000, timeout_s=0.5)
    assert caught.value.sent


def test_all_calls_share_the_deadline_that_they_were_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        hub = HubClient(url, lambda: "secret", deadline=Deadline.after(0.3))
        for _ in range(2):
            with pytest.raises(HubUnreachableError, match="timed out"):
                hub.call("GET", "/api/x")
        assert hub._deadline is not None
        assert not hub._deadline.left_s()
