"""Long polls: who waits for an inbox, for how long, and what an answer nobody takes leaves."""

from __future__ import annotations

import contextlib
import functools
import select
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support.hub import FLEET, HubProcess, digest, roster, running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub that gives each token one place: whoever waits keeps all others of it out."""
    with running(tmp_path, streams_per_token=1) as one:
        yield one


def may_wait(hub: HubProcess, node: str = "n1") -> bool:
    """Whether the place of a node's token is free."""
    agent = FLEET[node][0]
    return hub.client(node).get(f"/api/inbox?agent={agent}&wait_s=0.01").status == 200


def is_answered(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])


def is_settled(hub: HubProcess, node: str, client: socket.socket) -> bool:
    return is_answered(client) or not may_wait(hub, node)


@contextlib.contextmanager
def waiting(hub: HubProcess, agent: str = "beta", node: str = "n1") -> Iterator[socket.socket]:
    """A client that waits for mail; refused by chance, as the look has its place, again."""
    while True:
        with socket.create_connection(("127.0.0.1", hub.port)) as client:
            client.sendall(
                f"GET /api/inbox?agent={agent}&wait_s=60 HTTP/1.1\r\nHost: hub\r\n"
                f"Authorization: Bearer token-{node}\r\n\r\n".encode()
            )
            wait_until(functools.partial(is_settled, hub, node, client))
            if not is_answered(client):
                yield client
                return


def test_a_long_poll_whose_client_died_takes_no_mail(narrow: HubProcess) -> None:
    with waiting(narrow):
        pass
    sent = narrow.client("n2").send("wake up", to="beta")
    wait_until(lambda: may_wait(narrow))
    for _ in range(20):  # whatever the dead one had done would be committed with these
        narrow.client("n2").send("later", to="delta")
    (hops,) = narrow.client("n2").get(f"/api/messages/{sent['id']}").body["deliveries"]
    assert (hops["fetched_at"], hops["fetch_count"]) == (None, 0)
    agents = narrow.client("n2").get("/api/agents").body["agents"]
    assert next(a for a in agents if a["name"] == "beta")["unfetched"] == 1


def test_a_long_poll_whose_client_died_gives_its_place_back(narrow: HubProcess) -> None:
    with waiting(narrow):
        pass
    wait_until(lambda: may_wait(narrow))  # it would have waited for a minute


def test_a_long_poll_whose_client_is_there_waits_on_and_counts_as_fetched(
    narrow: HubProcess,
) -> None:
    with waiting(narrow) as client:
        with waiting(narrow, "gamma", "n2"):
            pass
        wait_until(lambda: may_wait(narrow, "n2"), "the hub has looked who is still there")
        assert not is_answered(client)
        sent = narrow.client("n2").send("wake up", to="beta")
        client.settimeout(patience())
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    (hops,) = narrow.client("n2").get(f"/api/messages/{sent['id']}").body["deliveries"]
    assert hops["fetch_count"] == 1


MOVED = {"n1": ("alpha",), "n2": ("gamma", "beta"), "n3": ("delta",)}
RENAMED = {"n1b": FLEET["n1"], "n2": FLEET["n2"], "n3": FLEET["n3"]}


@pytest.mark.parametrize(
    ("fleet", "token", "status"),
    [
        (MOVED, "token-n1", b"403 "),
        ({**FLEET, "n1": ("alpha",)}, "token-n1", b"403 "),
        (FLEET, "another", b"401 "),
        (MOVED, "another", b"401 "),
    ],
)
def test_a_long_poll_ends_with_the_right_to_it(
    narrow: HubProcess, fleet: dict[str, tuple[str, ...]], token: str, status: bytes
) -> None:
    changed = roster(fleet, force=True)
    changed["tokens"][0]["sha256"] = [digest(token)]
    with waiting(narrow) as client:
        assert narrow.client(None).call("PUT", "/api/agents", changed).status == 200
        client.settimeout(patience())
        assert client.recv(4096).startswith(b"HTTP/1.1 " + status)


def test_a_long_poll_goes_on_when_its_node_gets_another_name(narrow: HubProcess) -> None:
    changed = roster(RENAMED)
    changed["tokens"][0]["sha256"] = [digest("token-n1")]
    with waiting(narrow) as client:
        assert narrow.client(None).call("PUT", "/api/agents", changed).status == 200
        narrow.client("n2").send("for whoever has beta", to="beta")
        client.settimeout(patience())
        answer = b""
        while b"for whoever has beta" not in answer:
            more = client.recv(4096)
            assert more, answer
            answer += more
