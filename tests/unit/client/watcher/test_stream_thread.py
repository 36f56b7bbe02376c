"""When the stream thread reconnects, by what the hub said: a socket with fixed bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.hub.choice import Choice
from agent_bus_client.hub.hubs import Hubs
from agent_bus_client.hub.transport import HubClient
from agent_bus_client.watcher.stream import (
    DENIED_RETRY_S,
    SUPERSEDED_RETRY_S,
    Disconnected,
    Received,
    StreamThread,
)
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1000\n\nid: e-0\n\n"
HELLO = b'event: hello\ndata: {"keepalive_s": 15, "reconnect_cap_s": 5}\n\n'
OLD_HELLO = b'event: hello\ndata: {"keepalive_s": 15}\n\n'


def bye(reason: str, retry_ms: int = 1234) -> bytes:
    return b'retry: %d\nevent: bye\ndata: {"reason": "%s"}\n\n' % (retry_ms, reason.encode())


class Waits(threading.Event):
    """Lets no time pass, and ends the thread after this many waits."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        if len(self.seconds) == self.count:
            self.set()
        return self.is_set()


@contextlib.contextmanager
def serving(*answers: bytes) -> Iterator[str]:
    """Each connection gets the next answer and is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(patience())

        def run() -> None:
            for answer in answers:
                peer, _ = listener.accept()
                with peer:
                    peer.recv(65536)
                    peer.sendall(answer)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def waits_after(*answers: bytes, draw: float = 1.0) -> tuple[list[float], list[object]]:
    """How long the thread waited after each of these answers, and what it reported."""
    told: list[object] = []
    with serving(*answers) as url:
        thread = StreamThread(Hubs((HubClient(url, lambda: "secret"),)), None, told.append)
        waits = thread._stopping = Waits(len(answers))
        thread._choice = Choice(1, draw=lambda: draw)
        thread.run()
    return waits.seconds, told


@pytest.mark.parametrize("reason", ["shutdown", "lifetime", "overflow"])
def test_a_bye_is_followed_by_the_wait_that_came_with_it(reason: str) -> None:
    seconds, told = waits_after(OK + HELLO + bye(reason))
    assert seconds == [1.234]
    assert Disconnected(reason, is_renewal=reason == "lifetime") in told


def test_a_connection_that_breaks_behind_its_bye_has_ended_as_planned() -> None:
    chunked = OK.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n", 1)
    head, _, opening = chunked.partition(b"\r\n\r\n")
    body = opening + HELLO + bye("shutdown")
    seconds, told = waits_after(
        head + b"\r\n\r\n%x\r\n%s\r\n" % (len(body), body)
    )  # no last chunk
    assert seconds == [1.234]
    assert Disconnected("shutdown") in told


def test_failures_after_a_bye_double_up_to_the_cap_that_hello_told() -> None:
    seconds, _ = waits_after(OK + HELLO + bye("shutdown"), *[b""] * 5)
    assert seconds == [1.234, 1, 2, 4, 5, 5]
    lowest, _ = waits_after(OK + HELLO + bye("shutdown"), *[b""] * 5, draw=0.0)
    assert lowest == [1.234, 0.5, 1, 2, 2.5, 2.5]


def test_a_cut_is_followed_by_short_waits_with_full_jitter() -> None:
    assert waits_after(OK + HELLO, *[b""] * 5)[0] == [0.5, 1, 2, 4, 5, 5]
    assert waits_after(OK + HELLO, *[b""] * 5, draw=0.0)[0] == [0] * 6


def test_a_hub_that_tells_no_cap_has_one_of_two_seconds() -> None:
    assert waits_after(OK + OLD_HELLO, *[b""] * 4)[0] == [0.5, 1, 2, 2, 2]


def test_a_hub_that_is_starting_says_how_long_it_needs() -> None:
    starting = b"HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    assert waits_after(OK + HELLO, starting, draw=0.0)[0] == [0, 1]
    assert max(waits_after(OK + HELLO, *[starting] * 5)[0]) == 2


@pytest.mark.parametrize(
    ("reason", "seconds"), [("superseded", SUPERSEDED_RETRY_S), ("revoked", DENIED_RETRY_S)]
)
def test_who_was_replaced_or_shut_out_comes_back_late(reason: str, seconds: float) -> None:
    assert waits_after(OK + HELLO + bye(reason))[0] == [seconds]


def test_what_wakes_nobody_is_passed_on_with_that_word_and_without_its_body() -> None:
    whole = b'data: {"id": "m", "to_agent": "a", "read_at": null, "body": "x", "seq": %d%s}\n\n'
    stream = OK + HELLO + b"id: e-1\n" + whole % (1, b', "wake": "held"')
    stream += b"id: e-2\n" + whole % (2, b"")
    _, told = waits_after(stream)
    facts = [one.facts for one in told if isinstance(one, Received) and one.type == "message"]
    plain = {"id": "m", "to_agent": "a", "read_at": None}
    assert facts == [{**plain, "seq": 1, "wake": "held"}, {**plain, "seq": 2}]
