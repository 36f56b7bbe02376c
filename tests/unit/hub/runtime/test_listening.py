"""Connections are accepted without greenlets, as many as there are places."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
import pytest

from agent_bus.runtime.listening import Acceptor, Places, Readiness
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

Opened = list[Any]


@pytest.fixture
def opened() -> Opened:
    return []


@pytest.fixture
def places() -> Places:
    return Places(2)


@pytest.fixture
def listener(places: Places, opened: Opened) -> Iterator[tuple[str, int]]:
    """Where an acceptor listens."""
    own = gevent.socket.socket()
    own.bind(("127.0.0.1", 0))
    own.listen(8)
    acceptor = Acceptor(
        own,
        places=places,
        opened=lambda client, _address: opened.append(client),
        handle=lambda _client, _address: None,
    )
    acceptor.start()
    yield own.getsockname()
    acceptor.close()
    for client in opened:
        client.close()


def until(condition: Any) -> None:
    wait_until(lambda: bool(condition()), pause=gevent.sleep)


def test_no_more_is_accepted_than_there_are_places(
    listener: tuple[str, int], places: Places, opened: Opened
) -> None:
    peers = [socket.create_connection(listener) for _ in range(3)]
    until(lambda: len(opened) == 2)
    for _ in range(5):
        gevent.sleep(0.001)
    assert (len(opened), places.free_count()) == (2, 0)
    places.give()
    until(lambda: len(opened) == 3)
    for peer in peers:
        peer.close()


def test_greenlets_and_connections_without_one_share_the_places(places: Places) -> None:
    places.take()
    one = places.spawn(gevent.sleep, 60)
    assert places.full()
    places.give()
    assert places.free_count() == 1
    one.kill()
    until(lambda: places.free_count() == places.size)


def test_a_connection_is_taken_over_as_it_is(listener: tuple[str, int], opened: Opened) -> None:
    with socket.create_connection(listener) as peer:
        until(lambda: opened)
        with pytest.raises(BlockingIOError):
            opened[0].recv(1)
        peer.sendall(b"x")
        told: list[bytes] = []
        watch = Readiness(
            opened[0].fileno(), lambda: told.append(opened[0].recv(1)), writing=False
        )
        until(lambda: told)
        watch.pause()
        peer.sendall(b"y")
        for _ in range(3):
            gevent.sleep(0.001)
        assert told == [b"x"]
        watch.go_on(lambda: told.append(opened[0].recv(1)))
        until(lambda: len(told) == 2)
        watch.close()
