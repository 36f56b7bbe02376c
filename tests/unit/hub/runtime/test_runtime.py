"""What greenlets know of a peer's end."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import gevent
import gevent.event
import pytest

from agent_bus.runtime import greenlets
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The hub's end of a connection, and its peer's."""
    with (
        contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener,
        socket.create_connection(listener.getsockname()) as peer,
        listener.accept()[0] as own,
    ):
        yield own, peer


def test_a_peer_that_is_there_has_not_hung_up_whatever_it_sent(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    own, peer = pair
    assert not greenlets.has_hung_up(own)
    peer.sendall(b"the next request")
    own.recv(1, socket.MSG_PEEK)
    assert not greenlets.has_hung_up(own)


def test_an_end_is_seen_behind_bytes_that_nobody_has_read(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    own, peer = pair
    peer.sendall(b"the next request")
    peer.close()
    wait_until(lambda: greenlets.has_hung_up(own))
    assert own.recv(100) == b"the next request"


def test_a_peer_that_writes_no_more_counts_as_gone(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    own, peer = pair
    peer.shutdown(socket.SHUT_WR)
    wait_until(lambda: greenlets.has_hung_up(own))


def test_a_closed_socket_has_no_peer_and_no_socket_says_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    own, _ = pair
    own.close()
    assert greenlets.has_hung_up(own)
    assert not greenlets.has_hung_up(None)


@pytest.fixture
def hang_ups() -> greenlets.HangUps:
    return greenlets.HangUps()


def within(told: gevent.event.Event) -> bool:
    return bool(told.wait(patience()))


@pytest.mark.parametrize("end", ["close", "half", "reset"])
@pytest.mark.parametrize("unread", [b"", b"the next request"])
def test_a_hang_up_is_told_whatever_is_unread(
    pair: tuple[socket.socket, socket.socket], hang_ups: greenlets.HangUps, end: str, unread: bytes
) -> None:
    own, peer = pair
    told = gevent.event.Event()
    hang_ups.watch(own, told.set)
    if unread:
        peer.sendall(unread)
    if end == "half":
        peer.shutdown(socket.SHUT_WR)
    else:
        linger = struct.pack("ii", 1, 0)
        if end == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.close()
    assert within(told)


def test_bytes_are_no_hang_up_and_what_is_forgotten_tells_nothing(
    pair: tuple[socket.socket, socket.socket], hang_ups: greenlets.HangUps
) -> None:
    own, peer = pair
    calls: list[str] = []
    hang_ups.watch(own, lambda: calls.append("own"))
    peer.sendall(b"the next request")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        other = socket.create_connection(listener.getsockname())
        accepted = listener.accept()[0]
        told = gevent.event.Event()
        hang_ups.watch(accepted, told.set)
        other.close()
        assert within(told)
        assert calls == []
        hang_ups.forget(own)
        peer.close()
        hang_ups.forget(accepted)
        accepted.close()
        again = socket.create_connection(listener.getsockname())  # perhaps the same descriptor
        accepted = listener.accept()[0]
        told.clear()
        hang_ups.watch(accepted, told.set)
        again.close()
        assert within(told)
        accepted.close()
    assert calls == []


def test_a_connection_that_is_closed_already_is_told_at_once(
    pair: tuple[socket.socket, socket.socket], hang_ups: greenlets.HangUps
) -> None:
    own, _ = pair
    own.close()
    calls: list[str] = []
    hang_ups.watch(own, lambda: calls.append("own"))
    assert calls == ["own"]


@pytest.fixture
def pool() -> Iterator[greenlets.ThreadedPool[list[str]]]:
    """Of one resource: what was done with it."""
    made = greenlets.ThreadedPool[list[str]]([[]])
    yield made
    made.close(lambda _: None)


def at_work(pool: greenlets.ThreadedPool[list[str]]) -> tuple[Any, threading.Event]:
    """A greenlet whose thread is at work with the resource, until the event is set."""
    begun, go_on = threading.Event(), threading.Event()

    def work(done: list[str]) -> None:
        begun.set()
        go_on.wait(patience())
        done.append("first")

    killed = gevent.spawn(pool.run, work)
    wait_until(begun.is_set, "the thread works", pause=gevent.sleep)
    return killed, go_on


def test_what_a_killed_greenlet_used_is_free_once_its_thread_is_done(
    pool: greenlets.ThreadedPool[list[str]],
) -> None:
    killed, go_on = at_work(pool)
    killed.kill()
    next_one = gevent.spawn(pool.run, lambda done: [*done, "second"])
    gevent.sleep(0)
    assert not next_one.ready()
    go_on.set()
    assert next_one.get(timeout=patience()) == ["first", "second"]


def test_a_greenlet_that_is_killed_while_it_waits_keeps_nothing(
    pool: greenlets.ThreadedPool[list[str]],
) -> None:
    working, go_on = at_work(pool)
    waiting = [gevent.spawn(pool.run, list) for _ in range(2)]
    gevent.sleep(0)
    waiting[0].kill()
    go_on.set()
    assert waiting[1].get(timeout=patience()) == ["first"]
    assert working.get(timeout=patience()) is None
