"""Requests as a peer may put them on the wire: whole, in pieces, one behind the other, malformed.

Each case is sent as a connection's first request and as its second one, where plain sends take the
short way, and by gunicorn's parser alone: all must understand it alike.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.hub import running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hub import HubProcess

BODY = b'{"to": "delta", "body": "x"}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
TOKEN = b"Host: hub\r\nAuthorization: Bearer token-n2\r\n"
SEND = b"POST /api/send HTTP/1.1\r\n" + TOKEN
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)

ANSWERED = {
    "plain": SEND + LENGTH + b"\r\n" + BODY,
    "lower-case names": SEND.lower().replace(b"post /api/send http", b"POST /api/send HTTP")
    + LENGTH.lower()
    + b"\r\n"
    + BODY,
    "unknown headers": SEND
    + b"X-Anything: \xe9t\xe9\r\nAccept: */*\r\n"
    + LENGTH
    + b"\r\n"
    + BODY,
    "spaces around a value": SEND + b"Content-Length:  \t%d \r\n\r\n" % len(BODY) + BODY,
    "chunked": SEND + CHUNKED + b"\r\n" + CHUNKS,
    "an empty line before": b"\r\n" + SEND + LENGTH + b"\r\n" + BODY,
    "query without a name": SEND.replace(b"send HTTP", b"send? HTTP") + LENGTH + b"\r\n" + BODY,
    "underscore in a name": SEND + b"Content_Length: 3\r\n" + LENGTH + b"\r\n" + BODY,
    "a proxy's header": SEND + b"X-Forwarded-For: 10.0.0.1\r\n" + LENGTH + b"\r\n" + BODY,
}
REFUSED = {
    "two lengths": SEND + LENGTH + LENGTH + b"\r\n" + BODY,
    "two lengths in one": SEND + b"Content-Length: 28, 28\r\n\r\n" + BODY,
    "length and chunked": SEND + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "chunked and length": SEND + CHUNKED + LENGTH + b"\r\n" + CHUNKS,
    "chunked twice": SEND + CHUNKED + CHUNKED + b"\r\n" + CHUNKS,
    "chunked in disguise": SEND + b"Transfer-Encoding: xchunked\r\n" + LENGTH + b"\r\n" + BODY,
    "signed length": SEND + b"Content-Length: +28\r\n\r\n" + BODY,
    "hexadecimal length": SEND + b"Content-Length: 0x1c\r\n\r\n" + BODY,
    "space before a colon": SEND + b"Content-Length : 28\r\n\r\n" + BODY,
    "folded header": SEND + b"X-Long: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY,
    "bare line feeds": (SEND + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + BODY,
    "one bare line feed": SEND + b"X: y\n" + LENGTH + b"\r\n" + BODY,
    "NUL in a value": SEND + b"X: a\x00b\r\n" + LENGTH + b"\r\n" + BODY,
    "two hosts": SEND + b"Host: other\r\n" + LENGTH + b"\r\n" + BODY,
    "no name": SEND + b": x\r\n" + LENGTH + b"\r\n" + BODY,
    "two spaces": SEND.replace(b"POST ", b"POST  ") + LENGTH + b"\r\n" + BODY,
    "no version": SEND.replace(b" HTTP/1.1", b"") + LENGTH + b"\r\n" + BODY,
    "HTTP/3.0": SEND.replace(b"HTTP/1.1", b"HTTP/3.0") + LENGTH + b"\r\n" + BODY,
    "chunked in HTTP/1.0": SEND.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n" + CHUNKS,
    "too many headers": SEND
    + b"".join(b"X-%d: y\r\n" % n for n in range(101))
    + LENGTH
    + b"\r\n"
    + BODY,
    "a header too large": SEND + b"X: " + b"y" * 9000 + b"\r\n" + LENGTH + b"\r\n" + BODY,
    "a line too large": SEND.replace(b"send HTTP", b"send?" + b"y" * 9000 + b" HTTP") + b"\r\n",
}


class Peer:
    """A connection that reads answers one by one."""

    def __init__(self, port: int, way: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience())
        self._received = b""
        self.before = b"\r\n" if way == "gunicorn" else b""
        """An empty line, which only gunicorn reads over."""
        if way == "second":
            self.socket.sendall(b"GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n")
            assert self.status() == 200

    def is_read(self) -> bool:
        """Whether the hub has read all that was sent: nothing waits in its kernel's queue."""
        own, theirs = (f"{name()[1]:04X}" for name in
                       (self.socket.getsockname, self.socket.getpeername))  # fmt: skip
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines():
            _, local, remote, _, queues, *_ = line.split()
            if local.endswith(f":{theirs}") and remote.endswith(f":{own}"):
                return int(queues.partition(":")[2], 16) == 0
        return False

    def status(self) -> int | None:
        """The status of the next answer, read with its body; None at the end."""
        while b"\r\n\r\n" not in self._received:
            if not self._more():
                return None
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        line, *fields = head.lower().split(b"\r\n")
        found = dict(field.split(b": ", 1) for field in fields)
        length = int(found.get(b"content-length", b"0"))
        while len(self._received) < length and self._more():
            pass
        self._received = self._received[length:]
        return int(line.split()[1])

    def _more(self) -> bool:
        piece = b""
        with contextlib.suppress(ConnectionResetError):
            piece = self.socket.recv(65536)
        self._received += piece
        return bool(piece)


@pytest.fixture(params=["first", "second", "gunicorn"])
def peer(hub: HubProcess, request: pytest.FixtureRequest) -> Iterator[Peer]:
    found = Peer(hub.port, request.param)
    with found.socket:
        yield found


def head(hub: HubProcess) -> int:
    """The newest delivery's number: what was not accepted leaves it alone."""
    return int(hub.client(None).get("/api/stats").body["messages"]["head"])


@pytest.mark.parametrize("case", ANSWERED)
def test_what_is_well_formed_is_answered_and_the_connection_goes_on(peer: Peer, case: str) -> None:
    for _ in range(2):
        before = b"" if ANSWERED[case].startswith(b"\r\n") else peer.before
        peer.socket.sendall(before + ANSWERED[case])
        assert peer.status() == 201


@pytest.mark.parametrize("behind", [b"", ANSWERED["plain"]], ids=["alone", "with one behind"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_malformed_is_refused_and_the_connection_ends(
    hub: HubProcess, peer: Peer, case: str, behind: bytes
) -> None:
    before = head(hub)
    with contextlib.suppress(ConnectionError):
        peer.socket.sendall(peer.before + REFUSED[case] + behind)
    status = peer.status()
    assert status is not None
    assert 400 <= status < 500 or status in {501, 505}
    assert peer.status() is None
    assert head(hub) == before, "something behind a malformed request was taken for a request"


def test_a_request_in_pieces_is_one_request(peer: Peer) -> None:
    whole = ANSWERED["plain"]
    for cut in (1, 5, 20, whole.index(b"\r\n\r\n") + 2, len(whole) - 1):
        peer.socket.sendall(whole[:cut])
        wait_until(peer.is_read, "the hub has read the first piece")
        peer.socket.sendall(whole[cut:])
        assert peer.status() == 201


def test_requests_behind_each_other_are_all_answered(peer: Peer) -> None:
    peer.socket.sendall(ANSWERED["plain"] * 5 + ANSWERED["chunked"] + ANSWERED["plain"][:30])
    assert [peer.status() for _ in range(6)] == [201] * 6
    peer.socket.sendall(ANSWERED["plain"][30:])
    assert peer.status() == 201


def test_a_client_that_waits_for_100_gets_it(peer: Peer) -> None:
    peer.socket.sendall(SEND + LENGTH + b"Expect: 100-continue\r\n\r\n")
    assert peer.status() == 100
    peer.socket.sendall(BODY)
    assert peer.status() == 201


def test_the_end_of_a_connection_is_obeyed(peer: Peer) -> None:
    peer.socket.sendall(SEND + LENGTH + b"Connection: close\r\n\r\n" + BODY)
    assert peer.status() == 201
    assert peer.status() is None


def test_http_1_0_is_answered_and_ended(peer: Peer) -> None:
    peer.socket.sendall(ANSWERED["plain"].replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert peer.status() == 201
    assert peer.status() is None


def test_sends_and_other_requests_take_turns_on_a_connection(peer: Peer) -> None:
    stats = b"GET /api/stats HTTP/1.1\r\n" + TOKEN + b"\r\n"
    other = b"POST /api/ack HTTP/1.1\r\n" + TOKEN + b"Content-Length: 2\r\n\r\n{}"
    for request, status in ((stats, 200), (ANSWERED["plain"], 201), (other, 400)) * 3:
        peer.socket.sendall(request)
        assert peer.status() == status


def test_a_body_cut_short_is_no_message(hub: HubProcess, peer: Peer) -> None:
    before = head(hub)
    peer.socket.sendall(ANSWERED["plain"][:-3])
    peer.socket.shutdown(socket.SHUT_WR)
    peer.status()
    assert head(hub) == before


def test_a_token_that_is_revoked_ends_at_once_on_a_connection_that_is_kept(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        peer = Peer(hub.port, "first")
        with peer.socket:
            peer.socket.sendall(ANSWERED["plain"])
            assert peer.status() == 201
            assert hub.enrol(tokens=[{"node": "n2", "sha256": []}], force=True).status == 200
            peer.socket.sendall(ANSWERED["plain"])
            assert peer.status() == 401


def test_a_hub_that_ends_waits_for_no_connection_without_a_request(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        idle, kept = Peer(hub.port, "first"), Peer(hub.port, "first")
        with idle.socket, kept.socket:
            for _ in range(3):
                kept.socket.sendall(ANSWERED["plain"])
                assert kept.status() == 201
            assert hub.stop() == 0
            assert idle.status() is None
            assert kept.status() is None
        assert "Traceback" not in hub.log()
        # a killed worker would leave it for the next start to read
        assert not (tmp_path / "bus.db-wal").exists()
