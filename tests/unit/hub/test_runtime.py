"""The border to the loop: what it says of a peer."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from agent_bus import runtime
from tests.support.patience import wait_until

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
    assert not runtime.has_hung_up(own)
    peer.sendall(b"the next request")
    own.recv(1, socket.MSG_PEEK)
    assert not runtime.has_hung_up(own)


def test_an_end_is_seen_behind_bytes_that_nobody_has_read(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    own, peer = pair
    peer.sendall(b"the next request")
    peer.close()
    wait_until(lambda: runtime.has_hung_up(own))
    assert own.recv(100) == b"the next request"


def test_a_peer_that_writes_no_more_counts_as_gone(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    own, peer = pair
    peer.shutdown(socket.SHUT_WR)
    wait_until(lambda: runtime.has_hung_up(own))


def test_a_closed_socket_has_no_peer_and_no_socket_says_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    own, _ = pair
    own.close()
    assert runtime.has_hung_up(own)
    assert not runtime.has_hung_up(None)
