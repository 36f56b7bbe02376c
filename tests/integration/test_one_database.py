"""Watchers, command lines and streams between two hubs on one PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from functools import partial
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.errors import ClientError
from agent_bus_client.hub.hubs import Hubs
from agent_bus_client.hub.order import ordered
from agent_bus_client.hub.transport import HubClient
from agent_bus_client.watcher.stream import Disconnected, Received, StreamThread
from tests.support import postgres
from tests.support.cli import sent_id, told
from tests.support.node_side import HubWithNodes, Node, StandinProcess, fetch, token_of, until
from tests.support.patience import patience
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AGENTS = ("alpha", "beta")
NODES = {"n1": AGENTS, "n2": ("gamma",)}


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[list[HubWithNodes]]:
    """Two hubs, in the order in which node n1 tries them."""
    url = postgres.database(tmp_path)
    made: list[HubWithNodes] = []
    ports = [free_port() for _ in range(2)]
    known = [{"name": f"hub{n}", "url": f"http://127.0.0.1:{p}"} for n, p in enumerate(ports)]
    try:
        for number, port in enumerate(ports):
            own = {"database": url, "data_folder": str(tmp_path / f"hub{number}")}
            made.append(
                HubWithNodes(
                    tmp_path / f"hub{number}",
                    NODES,
                    port=port,
                    name=f"hub{number}",
                    hubs=known,
                    keepalive_s=0.5,
                    sends_per_s=10_000,
                    **own,
                )
            )
        urls = ordered("n1", [one.url for one in made])
        yield sorted(made, key=lambda one: urls.index(one.url))
    finally:
        for one in made:
            one.process.kill()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[StandinProcess]:
    standin = StandinProcess(tmp_path / "gateway", AGENTS)
    yield standin
    standin.process.kill()


@pytest.fixture
def node(tmp_path: Path, hubs: list[HubWithNodes], gateway: StandinProcess) -> Iterator[Node]:
    urls = [hub.url for hub in hubs]
    agents = [{"name": name} for name in AGENTS]
    more = {"gateway_url": gateway.url, "wake_min_interval_s": 1.5, "hub_urls": urls}
    made = Node(tmp_path / "n1", "n1", urls[0], agents, **more)
    yield made
    if hasattr(made, "watcher"):
        made.watcher.kill()


def connected_at(hub: HubWithNodes, node: Node) -> bool:
    lines = [line for line in node.watcher.lines() if line["event"] == "connected to the hub"]
    return bool(lines) and lines[-1]["hub"] == hub.url


def test_a_watcher_whose_hub_is_killed_resumes_at_the_other_by_the_same_cursor(
    hubs: list[HubWithNodes], gateway: StandinProcess, node: Node
) -> None:
    node.start()
    until(lambda: connected_at(hubs[0], node), what="it is at its first hub")
    hubs[1].send("alpha")  # by the other hub
    until(lambda: len(gateway.wakes("alpha")) == 1, what="alpha is woken")
    fetch(hubs[0].url, "/api/inbox?agent=alpha", token=token_of("n1"))
    hubs[0].process.kill()
    sent = hubs[1].send("beta")
    until(lambda: gateway.wakes("beta"), what="beta is woken")
    assert connected_at(hubs[1], node)
    until(lambda: hubs[1].timeline(sent["id"], "beta")["accepted_at"], what="the report came")
    until(lambda: hubs[1].agent("beta")["status"] == "online", what="its lease is there")
    assert "hub reset the stream" not in node.watcher.events()
    assert len(gateway.wakes("alpha")) == 1


def test_a_watcher_stays_connected_while_there_is_no_primary(
    tmp_path: Path, hubs: list[HubWithNodes], gateway: StandinProcess, node: Node
) -> None:
    node.start()
    until(lambda: connected_at(hubs[0], node), what="it is at its first hub")
    with postgres.read_only(postgres.database(tmp_path)):
        logs = [hub.process.log for hub in hubs]
        until(lambda: all("streams stay" in log.read_text() for log in logs), what="hubs know it")
        assert "Kept in the outbox" in told(node, "send", "--as", "alpha", "beta", "later")
    until(lambda: gateway.wakes("beta"), what="the message is sent, and beta is woken")
    assert node.watcher.events().count("connected to the hub") == 1
    page = json.loads(told(node, "inbox", "--as", "beta", "--json"))
    assert [message["body"] for message in page["messages"]] == ["later"]


def test_a_key_counts_at_all_hubs(hubs: list[HubWithNodes], node: Node) -> None:
    words = ("send", "--as", "alpha", "beta", "one", "--key", "k")
    first = sent_id(told(node, *words))
    hubs[0].process.kill()
    assert sent_id(told(node, *words)) == first
    page = json.loads(told(node, "inbox", "--as", "beta", "--json"))
    assert [message["body"] for message in page["messages"]] == ["one"]


class Told:
    """What a stream thread has told."""

    def __init__(self, hubs: Hubs) -> None:
        self._hubs = hubs
        self.seqs: list[int] = []
        self.ends: list[str] = []
        self.hellos: list[str] = []
        self.resets: list[object] = []

    def put(self, item: object) -> None:
        if isinstance(item, Disconnected):
            self.ends.append(item.reason)
        elif isinstance(item, Received) and item.type == "message":
            self.seqs.append(item.facts["seq"])
        elif isinstance(item, Received) and item.type == "hello":
            self.hellos.append(self._hubs.url)
        elif isinstance(item, Received) and item.type == "reset":
            self.resets.append(item.facts)

    def moved_back(self, times: int) -> bool:
        return self.ends.count("moving back") == times


def send_on(hubs: Hubs, sent: list[int], over: threading.Event) -> None:
    """Send by each hub in turn, each message under its key until it is accepted."""
    while not over.is_set():
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        body = {"from": "beta", "to": "alpha", "body": "x"}
        hubs.use(hubs.clients[len(sent) % 2])
        answer = None
        while answer is None:
            with contextlib.suppress(ClientError):
                answer = hubs.call("POST", "/api/send", body=body, headers=headers)
        (found,) = hubs.message(answer["id"])["deliveries"]
        sent.append(found["seq"])


def test_a_stream_that_moves_to_and_fro_under_traffic_gets_each_message_once(
    hubs: list[HubWithNodes],
) -> None:
    clients = Hubs(tuple(HubClient(hub.url, lambda: token_of("n1")) for hub in hubs))
    heard = Told(clients)
    thread = StreamThread(clients, None, heard.put)
    thread._choice.return_after_s = lambda: 0.2  # type: ignore[method-assign] # a minute
    thread.start()
    sent: list[int] = []
    over = threading.Event()
    sender = threading.Thread(target=send_on, args=(clients.apart(), sent, over))
    try:
        until(lambda: heard.hellos, what="the stream is open")
        sender.start()
        for count in range(1, 4):
            hubs[0].process.kill()
            until(lambda: heard.hellos[-1] == hubs[1].url, what="it is at the other hub")
            hubs[0].start()
            until(partial(heard.moved_back, count), what="it has moved back")
            until(lambda: heard.hellos[-1] == hubs[0].url, what="it is at its first hub")
        over.set()
        sender.join(patience())
        until(lambda: len(heard.seqs) >= len(sent), what="all have come")
    finally:
        over.set()
        thread.stop()
        thread.join(patience())
    assert heard.seqs == sorted(sent)
    assert not heard.resets
