"""Peers that end their streams: noticed at once, with no keepalive to find it out by."""

from __future__ import annotations

import resource
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hub import ADMIN, HubProcess, running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMS = 1000
QUIET = {"keepalive_s": 3600, "lease_s": 3600, "offline_after_s": 7200}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    folder = tmp_path_factory.mktemp("hub")
    limits: dict[str, Any] = {"streams_per_token": STREAMS + 100}
    with running(folder, **QUIET, **limits) as one:
        yield one


def reachability(hub: HubProcess, agent: str) -> str:
    sent = hub.client("n1").send("hello", **{"from": "alpha"}, to=agent)
    return str(sent["recipients"][0]["reachability"])


def test_who_closes_its_stream_holds_its_lease_no_longer(hub: HubProcess) -> None:
    watcher = hub.stream("n2", "role=watcher")
    watcher.of_type("hello")
    assert reachability(hub, "gamma") == "online"
    watcher.close()
    wait_until(lambda: reachability(hub, "gamma") == "deaf", "the lease has ended")


def test_who_stops_reading_keeps_its_lease(hub: HubProcess) -> None:
    watcher = hub.stream("n2", "role=watcher")
    watcher.of_type("hello")
    other = hub.stream("n3", "role=watcher")
    other.of_type("hello")
    other.close()
    wait_until(lambda: reachability(hub, "delta") == "deaf", "the other's lease has ended")
    assert reachability(hub, "gamma") == "online"
    watcher.close()


def test_what_a_client_sends_on_its_stream_neither_ends_nor_hides_it(hub: HubProcess) -> None:
    watcher = hub.stream("n3", "role=watcher")
    watcher.of_type("hello")
    watcher._socket.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
    hub.client("n1").send("hello", **{"from": "alpha"}, to="delta")
    watcher.of_type("message")
    assert reachability(hub, "delta") == "online"
    watcher.close()
    wait_until(lambda: reachability(hub, "delta") == "deaf", "the lease has ended")


def test_a_newer_stream_keeps_the_lease_when_the_older_one_ends(hub: HubProcess) -> None:
    older = hub.stream("n2", "role=watcher")
    older.of_type("hello")
    newer = hub.stream("n2", "role=watcher")
    newer.of_type("hello")
    open_before = hub.streams_open()
    older.rest()
    older.close()
    wait_until(lambda: hub.streams_open() <= open_before, "the older stream is gone")
    assert reachability(hub, "gamma") == "online"
    newer.close()


def test_a_browser_that_is_gone_gives_its_place_back(hub: HubProcess) -> None:
    before = hub.streams_open()
    signed_in = hub.client(None).call("POST", "/login", f"token={ADMIN}".encode())
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    request = f"GET /ui/stream HTTP/1.1\r\nHost: 127.0.0.1:{hub.port}\r\nCookie: {cookie}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", hub.port), timeout=patience()) as page:
        page.sendall(request.encode())
        assert page.recv(12) == b"HTTP/1.1 200"
        assert hub.streams_open() == before + 1
    wait_until(lambda: hub.streams_open() == before, "the page's stream has ended")


def test_a_thousand_closed_streams_give_their_descriptors_back(hub: HubProcess) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    before, peers = descriptors(hub), []
    request = b"GET /api/stream HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer token-n1\r\n\r\n"
    for _ in range(STREAMS):
        peer = socket.create_connection(("127.0.0.1", hub.port), timeout=patience())
        peer.sendall(request)
        peers.append(peer)
    for peer in peers:
        assert peer.recv(12) == b"HTTP/1.1 200"
    assert descriptors(hub) >= before + STREAMS
    for peer in peers:
        peer.close()
    wait_until(lambda: descriptors(hub) <= before + 5, "the descriptors are free")
    assert "Traceback" not in hub.log()


def descriptors(hub: HubProcess) -> int:
    """How many the server has open."""
    assert hub.process is not None
    return len(list(Path(f"/proc/{hub.process.pid}/fd").iterdir()))
