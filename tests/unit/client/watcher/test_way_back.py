"""How a stream moves back to a hub before the one it is on: hubs that are played."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

from agent_bus_client.errors import HubUnreachableError
from agent_bus_client.hub.choice import Choice
from agent_bus_client.hub.hubs import Hubs
from agent_bus_client.hub.last_hub import LastHub
from agent_bus_client.hub.transport import HubClient
from agent_bus_client.watcher import way_back as way_back_module
from agent_bus_client.watcher.stream import Disconnected, Received, StreamThread
from agent_bus_client.watcher.way_back import Moved, WayBack
from tests.support.patience import patience, wait_until
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus_client.hub.stream import Stream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
READY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
NOT_READY = b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\n{}"
HELLO = b'event: hello\ndata: {"keepalive_s": 15}\n\n'


def message(seq: int) -> bytes:
    facts = {"id": f"m{seq}", "seq": seq, "to_agent": "alpha", "read_at": None}
    return f"id: e-{seq}\nevent: message\ndata: {json.dumps(facts)}\n\n".encode()


class StreamingHub:
    """Answers each request with a stream that begins with hello; the test says what follows."""

    def __init__(self, port: int, *, is_ready: bool = True) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.is_ready = is_ready
        self.was_asked = threading.Event()
        self.requests: list[str] = []
        self.streams: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                request = peer.recv(65536).decode()
                if request.startswith("GET /readyz"):
                    self.was_asked.set()
                    peer.sendall(READY if self.is_ready else NOT_READY)
                    peer.close()
                    continue
                self.requests.append(request)
                peer.sendall(HEAD + HELLO)
                self.streams.append(peer)

    def say(self, *events: bytes) -> None:
        wait_until(lambda: self.streams, "a stream is open")
        self.streams[-1].sendall(b"".join(events))

    def was_left(self) -> bool:
        self.streams[-1].settimeout(patience())
        return self.streams[-1].recv(1) == b""

    def die(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for peer in self.streams:
            peer.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[StreamThread, list[Any], int, StreamingHub, LastHub]]:
    """A stream thread whose first hub does not listen; what it told; the port; the second hub."""
    port = free_port()
    told: list[Any] = []
    second = StreamingHub(free_port())
    urls = (f"http://127.0.0.1:{port}", second.url)
    last_hub = LastHub(tmp_path)
    hubs = Hubs(tuple(HubClient(url, lambda: "secret") for url in urls), last_hub=last_hub)
    thread = StreamThread(hubs, None, told.append)
    thread._choice._health_s = 0.0
    thread._choice.return_after_s = lambda: 0.05  # type: ignore[method-assign] # a minute
    thread.start()
    yield thread, told, port, second, last_hub
    thread.stop()
    thread.join(patience())
    assert not thread.is_alive()
    second.die()


def seqs(told: list[Any]) -> list[int]:
    got = [one for one in told if isinstance(one, Received) and one.type == "message"]
    return [one.facts["seq"] for one in got]


def test_it_moves_back_without_losing_or_repeating_an_event(
    two: tuple[StreamThread, list[Any], int, StreamingHub, LastHub],
) -> None:
    thread, told, port, second, last_hub = two
    second.say(message(1), message(2))
    wait_until(lambda: seqs(told) == [1, 2], "both have come")
    assert thread._hubs.url == last_hub.recall() == second.url
    first = StreamingHub(port)
    try:
        wait_until(lambda: first.streams, "the way back")
        assert "Last-Event-ID: e-2" in first.requests[0]
        first.say(message(2), message(3))  # as after a resume in the middle of two events
        assert second.was_left()
        wait_until(lambda: seqs(told) == [1, 2, 3], "the new one has come, the old one not again")
        assert thread._hubs.url == first.url
        assert last_hub.recall() is None
        ends = [one for one in told if isinstance(one, Disconnected)]
        assert ends[-1] == Disconnected("moving back", is_renewal=True)  # no outage, no new wakes
    finally:
        first.die()
    wait_until(lambda: len(second.streams) == 2, "the second hub has the stream again")
    second.say(message(4))
    wait_until(lambda: seqs(told) == [1, 2, 3, 4], "its events come")


def test_a_hub_that_is_not_ready_is_not_returned_to(
    two: tuple[StreamThread, list[Any], int, StreamingHub, LastHub],
) -> None:
    _, told, port, second, _ = two
    second.say(message(1))
    first = StreamingHub(port, is_ready=False)
    try:
        for _ in range(3):
            first.was_asked.clear()
            assert first.was_asked.wait(patience())
        assert not first.streams
        first.is_ready = True
        first.say(message(2))
        wait_until(lambda: seqs(told) == [1, 2], "it moves back once the hub is ready")
    finally:
        first.die()


def test_a_hub_that_dies_while_the_stream_moves_back_is_no_trouble(
    two: tuple[StreamThread, list[Any], int, StreamingHub, LastHub],
) -> None:
    _, told, port, second, _ = two
    second.say(message(1))
    wait_until(lambda: seqs(told) == [1], "it has come")
    first = StreamingHub(port)
    try:
        wait_until(lambda: first.streams, "the way back")
        second.streams[-1].close()
        first.say(message(2))
        wait_until(lambda: seqs(told) == [1, 2], "the stream at the first hub goes on")
    finally:
        first.die()


class Opened:
    """Stands for a stream."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def way_back(open_at: Any, calls: list[str]) -> WayBack:
    choice = Choice(3, draw=lambda: 0.0)
    choice.current, choice._health_s = 2, 0.0
    return WayBack(
        choice,
        open_at=open_at,
        leave=lambda: calls.append("left"),
        still_away=lambda: calls.append("away"),
    )


def test_all_hubs_before_the_current_one_are_tried_each_time() -> None:
    tried: list[int] = []
    stream = cast("Stream", Opened())

    def open_at(number: int) -> Stream:
        tried.append(number)
        if len(tried) < 6:
            raise HubUnreachableError("http://x", "it is away", sent=False)
        return stream

    calls: list[str] = []
    thread = way_back(open_at, calls)
    thread.start()
    wait_until(lambda: "left" in calls, "the former stream was left")
    assert thread.end() == Moved(1, stream)
    assert tried == [0, 1, 0, 1, 0, 1]
    assert calls == ["away", "away", "left"]


def test_a_stream_that_comes_too_late_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way_back_module, "END_S", 0.01)
    began, go_on, stream = threading.Event(), threading.Event(), Opened()

    def open_at(_number: int) -> Stream:
        began.set()
        go_on.wait(patience())
        return cast("Stream", stream)

    thread = way_back(open_at, [])
    thread.start()
    assert began.wait(patience())
    assert thread.end() is None
    go_on.set()
    thread.join(patience())
    assert stream.is_closed
