"""Streams over a connection: who needs a greenlet, what is one write, in which order it comes."""

from __future__ import annotations

import gc
import random
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
import pytest
from greenlet import greenlet

from agent_bus.api.stream import Subscription
from agent_bus.app.parts import build_live, stream_parts
from agent_bus.bus.auth import Principal
from agent_bus.bus.broker import Entry
from agent_bus.core.model import NodeName
from agent_bus.http.call import Call
from agent_bus.runtime import greenlets
from agent_bus_client.hub.sse import Parser
from tests.support.bus import bus_in, settings_in, stream
from tests.support.clock import FakeClock
from tests.support.patience import patience, wait_until
from tests.support.store import draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core
    from agent_bus.http.live import LiveStream, LiveStreams

READ = 65536
SMALL_BUFFER = 4096


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    with bus_in(tmp_path, streams_per_token=20) as one:
        yield one


Connect = Callable[..., "Connection"]


@pytest.fixture
def connect(core: Core, tmp_path: Path) -> Iterator[Connect]:
    """Opens streams, and closes them at the end of the test."""
    opened: list[Connection] = []
    shared: list[LiveStreams] = []

    def connect(*, protocol: str = "HTTP/1.1", **settings: Any) -> Connection:
        if settings or not shared:
            chosen = settings_in(tmp_path, **{"keepalive_s": 3600, **settings})
            shared.append(build_live(chosen, core, greenlets.HangUps()))
        opened.append(Connection(core, shared[-1], protocol))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


class Connection:
    """A stream of node n1 that is served over a pair of sockets, and the peer's end."""

    def __init__(self, core: Core, among: LiveStreams, protocol: str) -> None:
        own, peer = socket.socketpair()
        self.peer = gevent.socket.socket(fileno=peer.detach())
        self._own = gevent.socket.socket(fileno=own.detach())
        self._own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        self.among = among
        self.stream = stream(is_watcher=False, queue_limit=10**6)
        subscription = Subscription(
            stream_parts(core), self.stream, live=self.among, version="v", cursor=None
        )
        call = Call(
            Principal(NodeName("n1"), "1" * 64), None, None, socket=self._own, protocol=protocol
        )
        answer = self.among.open(call, self.stream, subscription)
        self.live: LiveStream = answer.frames  # type: ignore[assignment] # of a stream
        self.serving = gevent.spawn(self._serve)
        self.received = b""

    def _serve(self) -> None:
        self.live.serve()
        self._own.close()  # as the server does when its greenlet ends

    def close(self) -> None:
        self.among.cut()
        self.serving.join()
        for end in (self.peer, self._own):
            end.close()

    def wait_until_parked(self) -> None:
        """Until its request's greenlet has ended; the connection stays."""
        self.serving.join(patience())
        assert self.serving.dead
        assert not self.live.has_left

    def read(self) -> bytes:
        """What came by one look."""
        with gevent.Timeout(patience()):
            came = self.peer.recv(READ)
        self.received += came
        return came

    def read_until(self, part: bytes) -> bytes:
        """Everything that came, up to a part of it."""
        while part not in self.received:
            assert self.read(), self.received[-200:]
        return self.received

    def read_all(self) -> bytes:
        while self.read():
            pass
        return self.received


def greenlets_alive() -> int:
    gc.collect()
    return sum(isinstance(one, greenlet) and not one.dead for one in gc.get_objects())


def test_an_idle_stream_has_no_greenlet(core: Core, connect: Connect) -> None:
    def opened(count: int) -> list[Connection]:
        found = [connect() for _ in range(count)]
        for one in found:
            one.wait_until_parked()
        return found

    first = opened(8)  # the store has all its threads now
    core.bus.send(draft(body="to the first"))
    first[0].read_until(b"to the first")
    before = greenlets_alive()
    streams = first + opened(4)
    assert greenlets_alive() == before
    core.bus.send(draft(body="to all"))
    for one in streams:
        one.read_until(b"to all")
    assert greenlets_alive() == before


def test_what_came_in_one_turn_is_one_write(core: Core, connect: Connect) -> None:
    one = connect()
    one.wait_until_parked()
    one.read_until(b"hello")
    for number in range(3):
        one.stream.put(Entry(b"data: %d\n\n" % number))
    assert one.read() == b"1B\r\ndata: 0\n\ndata: 1\n\ndata: 2\n\n\r\n"


def test_a_peer_that_takes_nothing_delays_nobody_and_misses_nothing(
    connect: Connect,
) -> None:
    slow, quick = connect(), connect()
    for one in (slow, quick):
        one.wait_until_parked()
        one.read_until(b"hello")
    dice = random.Random(1)
    frames = [b"data: %d %b\n\n" % (n, b"x" * dice.randrange(9000)) for n in range(200)]
    for number, frame in enumerate(frames):
        slow.stream.put(Entry(frame))
        quick.stream.put(Entry(b"data: %d\n\n" % number))
        gevent.sleep(0)
    quick.read_until(b"data: 199\n")
    assert slow.stream.waiting > 0
    assert not slow.live.has_left
    reading = gevent.spawn(slow.read_until, b"data: 199 ")
    reading.get(timeout=patience())
    slow.stream.end("lifetime")
    body = unchunked(slow.read_all())
    assert body.split(b"event: hello", 1)[1].count(b"data: ") == len(frames) + 2
    assert b"".join(frames) in body
    assert b"event: bye" in body


def test_a_peer_that_was_slow_is_parked_again(core: Core, connect: Connect) -> None:
    one = connect()
    one.wait_until_parked()
    one.read_until(b"hello")
    before = greenlets_alive()
    one.stream.put(Entry(b"data: %b\n\n" % (b"x" * 500_000)))
    one.stream.put(Entry(b"data: last\n\n"))
    one.read_until(b"last")
    wait_until(lambda: greenlets_alive() <= before, "its greenlet has ended", pause=gevent.sleep)
    one.stream.put(Entry(b"data: after\n\n"))
    assert one.read() == b"D\r\ndata: after\n\n\r\n"


def test_a_peer_that_takes_too_long_is_given_up(core: Core, connect: Connect) -> None:
    one = connect(write_timeout_s=0.2)
    one.wait_until_parked()
    one.stream.put(Entry(b"x" * 500_000))
    wait_until(lambda: one.live.has_left, "it is given up", pause=gevent.sleep)
    assert len(core.broker) == 0
    assert one.read_all().endswith(b"x")


def test_a_parked_stream_ends_with_its_peer_at_once(core: Core, connect: Connect) -> None:
    one = connect()
    one.wait_until_parked()
    one.stream.put(Entry(b"data: unread\n\n"))
    one.peer.close()
    wait_until(lambda: one.live.has_left, "the peer's end is noticed", pause=gevent.sleep)
    assert len(core.broker) == 0
    assert not one.among.served


def test_a_quiet_stream_says_that_it_lives(core: Core, connect: Connect) -> None:
    one = connect(keepalive_s=0.05)
    one.wait_until_parked()
    one.read_until(b"hello")
    assert isinstance(core.clock, FakeClock)
    core.clock.advance(1)
    one.read_until(b": keepalive")
    assert not one.live.has_left


@pytest.mark.parametrize(
    ("protocol", "last"), [("HTTP/1.1", b"\n\n\r\n0\r\n\r\n"), ("HTTP/1.0", b"}\n\n")]
)
def test_the_connection_ends_with_the_stream(connect: Connect, protocol: str, last: bytes) -> None:
    one = connect(protocol=protocol)
    one.wait_until_parked()
    one.stream.put(Entry(b"data: still\n\n"))
    one.stream.end("shutdown")
    whole = one.read_all()
    head, _, body = whole.partition(b"\r\n\r\n")
    assert head.startswith(protocol.encode() + b" 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in head
    assert (b"chunked" in head) == (protocol == "HTTP/1.1")
    assert body.endswith(last)
    plain = unchunked(whole) if protocol == "HTTP/1.1" else body
    kinds = [event.type for event in Parser().feed(plain)]
    assert kinds == ["hello", "message", "bye"]


def test_an_end_and_an_event_in_one_turn_lose_nothing(core: Core, connect: Connect) -> None:
    one = connect()
    one.wait_until_parked()
    core.bus.send(draft(body="at the end"))
    one.among.broker.end_all("shutdown")
    assert b"at the end" in one.read_all()


def test_what_a_peer_sent_does_not_cut_its_last_words(core: Core, connect: Connect) -> None:
    one = connect()
    one.wait_until_parked()
    one.peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
    one.stream.end("superseded")
    assert b"event: bye" in one.read_all()


def unchunked(received: bytes) -> bytes:
    """The body of a response, out of its chunks."""
    rest, body = received.partition(b"\r\n\r\n")[2], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        assert rest[int(size, 16) :][:2] == b"\r\n"
        rest = rest[int(size, 16) + 2 :]
    return body
