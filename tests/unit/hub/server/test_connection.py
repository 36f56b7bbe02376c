"""Connections that the loop serves by itself, over real sockets."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

import gevent
import pytest

from agent_bus.http.call import Answer, PlainRequest
from agent_bus.server import connection
from agent_bus.server.connection import Connections
from agent_bus.server.plain import Heads
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD = b"POST /api/send HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n%s\r\n"


def asked(body: bytes, more: bytes = b"") -> bytes:
    return HEAD % (len(body), more) + body


class Desk:
    """Answers a body with itself, once it is told to."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[bytes, Callable[[Answer], None]]] = deque()
        self.in_greenlets: list[bytes] = []
        self.must_wait = False

    def begin_plain(self, request: PlainRequest, done: Callable[[Answer], None]) -> bool:
        if self.must_wait:
            return False
        self.waiting.append((request.body, done))
        return True

    def answer_plain(self, request: PlainRequest) -> Answer:
        gevent.sleep(0.001)
        self.in_greenlets.append(request.body)
        return Answer(200, raw=request.body)

    def answer(self, *, times: int = 1) -> None:
        body, done = self.waiting.popleft()
        done(Answer(200, raw=body * times))


class Served:
    """One connection that the loop serves, and its peer."""

    def __init__(self, desk: Desk, *, idle_s: float = 75) -> None:
        self.desk = desk
        self.own, self.peer = socket.socketpair()
        self.own.setblocking(False)
        self.peer.setblocking(False)
        self._received = b""
        self.left: list[bytes | None] = []
        self.among = Connections(Heads({b"/api/send": []}), desk, idle_s=idle_s)
        self.connection = self.among.serve(self.own, "", self.left.append)
        self.connection.read()

    def send(self, part: bytes) -> None:
        self.peer.sendall(part)

    def answered(self) -> bytes:
        """The body of the next answer."""
        while b"\r\n\r\n" not in self._received:
            self._received += self._more()
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = int(head.rpartition(b"Content-Length: ")[2])
        while len(body) < length:
            body += self._more()
        self._received = body[length:]
        return body[:length]

    def _more(self) -> bytes:
        found: list[bytes] = []

        def look() -> bool:
            with contextlib.suppress(BlockingIOError):
                found.append(self.peer.recv(65536, socket.MSG_DONTWAIT))
            return bool(found)

        until(look)
        assert found[0], "the connection has ended"
        return found[0]


def until(condition: Callable[[], object]) -> None:
    wait_until(lambda: bool(condition()), pause=gevent.sleep)


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served(Desk())
    yield one
    one.connection.stop()
    one.own.close()
    one.peer.close()


def test_requests_are_answered_one_by_one_without_a_greenlet(served: Served) -> None:
    for body in (b"one", b"two"):
        served.send(asked(body))
        until(lambda: served.desk.waiting)
        served.desk.answer()
        assert served.answered() == body
    assert served.desk.in_greenlets == []


def test_what_must_wait_is_answered_in_a_greenlet(served: Served) -> None:
    served.desk.must_wait = True
    served.send(asked(b"slow"))
    assert served.answered() == b"slow"
    assert served.desk.in_greenlets == [b"slow"]


def test_the_next_request_waits_for_the_answer_before(served: Served) -> None:
    served.send(asked(b"one"))
    until(lambda: served.desk.waiting)
    served.send(asked(b"two"))
    for _ in range(5):
        gevent.sleep(0.001)
    assert len(served.desk.waiting) == 1
    served.desk.answer()
    until(lambda: served.desk.waiting)
    served.desk.answer()
    assert [served.answered() for _ in range(2)] == [b"one", b"two"]


def test_a_greedy_client_gets_one_answer_per_turn_of_the_loop(served: Served) -> None:
    """Its next requests are always there; whoever else is ready has its turn in between."""
    other = Served(served.desk)
    seen: list[bytes] = []
    begin_plain = served.desk.begin_plain

    def begin(request: PlainRequest, done: Callable[[Answer], None]) -> bool:
        seen.append(request.body)
        begin_plain(request, done)
        served.desk.answer()
        if request.body == b"greedy" and len(seen) < 50:
            served.send(asked(b"greedy"))
        return True

    served.desk.begin_plain = begin  # type: ignore[method-assign]
    served.send(asked(b"greedy"))
    other.send(asked(b"other"))
    until(lambda: b"other" in seen)
    assert seen.index(b"other") <= 1
    other.connection.stop()
    other.own.close()
    other.peer.close()


def test_what_is_not_plain_leaves_with_its_bytes(served: Served) -> None:
    served.send(b"GET /api/stats HTTP/1.1\r\n\r\n")
    until(lambda: served.left)
    assert served.left == [b"GET /api/stats HTTP/1.1\r\n\r\n"]
    assert not served.among.open


def test_head_and_body_may_come_one_after_the_other(served: Served) -> None:
    whole = asked(b"body")
    served.send(whole[:-4])
    until(lambda: served.among.begun)
    served.send(whole[-4:])
    until(lambda: served.desk.waiting)
    assert not served.among.begun
    served.desk.answer()
    assert served.answered() == b"body"


def test_whoever_waits_with_the_rest_leaves_with_what_came(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PIECES_S", 0.0)
    served.send(asked(b"body")[:-1])
    until(lambda: served.among.begun)
    served.among.tend()
    assert served.left == [asked(b"body")[:-1]]


def test_many_small_pieces_leave(served: Served) -> None:
    whole = asked(b"body")

    def has_come(part: bytes) -> bool:
        return bool(served.left) or served.connection._begun == part

    for at in range(connection.PIECES + 1):
        assert served.left == []
        served.send(whole[at : at + 1])
        until(partial(has_come, whole[: at + 1]))
    assert served.left == [whole[: connection.PIECES + 1]]


def test_the_peers_end_is_the_end(served: Served) -> None:
    served.peer.close()
    until(lambda: served.left)
    assert served.left == [None]


def test_a_peer_that_ends_while_it_is_answered_is_noticed_after_it(served: Served) -> None:
    served.send(asked(b"x"))
    until(lambda: served.desk.waiting)
    served.peer.close()
    gevent.sleep(0.001)
    assert served.left == []
    served.desk.answer()
    until(lambda: served.left)
    assert served.left == [None]


def test_a_connection_ends_with_the_answer_if_its_request_says_so(served: Served) -> None:
    served.send(asked(b"x", b"Connection: close\r\n"))
    until(lambda: served.desk.waiting)
    served.desk.answer()
    assert served.left == [None]
    assert b"Connection: close" in served.peer.recv(1000)


def test_an_idle_connection_ends_and_a_busy_one_does_not() -> None:
    served = Served(Desk(), idle_s=0.0)
    served.send(asked(b"x"))
    served.connection.read()
    served.among.tend()
    assert served.left == []
    served.desk.answer()
    served.among.tend()
    assert served.left == [None]
    served.own.close()
    served.peer.close()


def test_the_end_of_the_hub_leaves_the_answer_that_is_due(served: Served) -> None:
    served.send(asked(b"x"))
    until(lambda: served.desk.waiting)
    served.among.hang_up_idle()
    assert served.left == []
    served.desk.answer()
    assert served.left == [None]
    assert b"Connection: close" in served.peer.recv(1000)


def test_an_answer_that_the_kernel_does_not_take_at_once_is_written_as_it_is_read(
    served: Served,
) -> None:
    served.send(asked(b"y" * 1000))
    until(lambda: served.desk.waiting)
    served.desk.answer(times=2000)
    assert served.answered() == b"y" * 2_000_000
    served.send(asked(b"next"))
    until(lambda: served.desk.waiting)
    served.desk.answer()
    assert served.answered() == b"next"


def test_an_answer_that_nobody_takes_is_cut_at_the_end(served: Served) -> None:
    served.send(asked(b"y" * 1000))
    until(lambda: served.desk.waiting)
    served.desk.answer(times=2000)
    served.among.hang_up_idle()
    assert served.left == []
    served.among.cut_writing()
    assert served.left == [None]
