"""Name servers and addresses that do not answer: real processes with their own name servers."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.outbox.folder import Outbox
from tests.support.certificates import Authority
from tests.support.cli import sent_id, told
from tests.support.guard import marked
from tests.support.names import AAAA, A, NameServer, asking, black_hole, name_server
from tests.support.node_side import HubWithNodes, Node, until
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "hub.test"
FOR_EVER = "timeout:30 attempts:5"
"""How long the system's resolver waits for name servers: longer than any of these tests."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubWithNodes]:
    server = HubWithNodes(tmp_path / "hub", {"n1": ("alpha",), "n2": ("gamma",)})
    yield server
    server.process.kill()


@pytest.fixture
def names() -> Iterator[NameServer]:
    with name_server(addresses={A: ["127.0.0.1"]}) as one:
        yield one


def node_at(
    folder: Path, hub: HubWithNodes, *servers: str, options: str = FOR_EVER, **more: object
) -> Node:
    """Node n1, which knows the hub by name only."""
    url = hub.url.replace("127.0.0.1", HOST)
    agents = [{"name": "alpha", "waker": "command", "command": ["true"]}]
    node = Node(folder / "n1", "n1", url, agents, **more)
    node.within = asking(folder / "names", *servers, options=options)
    return node


def waiting_for_the_name(node: Node) -> subprocess.Popen[bytes]:
    """The system's own look-up of the hub's name."""
    argv = [*node.within, "getent", "ahosts", HOST]
    return subprocess.Popen(argv, env=marked(), stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("send", "gamma", "hello"), 0, "Kept in the outbox"),
        (("reply", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "hello"), 0, "Kept in the outbox"),
        (("inbox",), 69, "does not answer: name servers did not answer within"),
        (("doctor",), 1, f"for {HOST}; look at /etc/resolv.conf"),
    ],
)
def test_a_command_ends_while_the_system_still_waits_for_its_name_servers(
    tmp_path: Path,
    hub: HubWithNodes,
    names: NameServer,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    names.silent = {A, AAAA}
    node = node_at(tmp_path, hub, names.ip)
    with waiting_for_the_name(node) as system:
        until(lambda: names.asked, what="the system has asked")
        done = node.cli(*arguments)
        assert system.poll() is None
        system.kill()
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr
    if arguments[0] == "send":
        assert "name servers did not answer within" in done.stdout
        assert [entry.maybe_sent for entry in Outbox(node.folder / "outbox").waiting()] == [False]


def test_a_name_server_that_answers_for_one_family_only_delays_nothing_for_long(
    tmp_path: Path, hub: HubWithNodes, names: NameServer
) -> None:
    names.silent = {AAAA}
    node = node_at(tmp_path, hub, names.ip)
    with waiting_for_the_name(node) as system:
        until(lambda: names.asked, what="the system has asked")
        said = told(node, "send", "gamma", "hello")
        assert system.poll() is None
        system.kill()
    assert said.startswith("sent ")


def test_the_second_name_server_is_asked_when_the_first_is_silent(
    tmp_path: Path, hub: HubWithNodes, names: NameServer
) -> None:
    silent = "127.255.255.254"  # nobody listens: its kernel refuses, as a router's may
    node = node_at(tmp_path, hub, silent, names.ip, options="timeout:1")
    assert told(node, "send", "gamma", "hello").startswith("sent ")


def test_a_name_that_nobody_knows_is_told_as_that(
    tmp_path: Path, hub: HubWithNodes, names: NameServer
) -> None:
    names.addresses = {}
    node = node_at(tmp_path, hub, names.ip)
    assert f"no name server knows {HOST}; is it spelled right?" in told(node, "inbox", code=69)


def test_a_dead_address_before_the_right_one_neither_hides_nor_keeps_an_answer(
    tmp_path: Path, hub: HubWithNodes, names: NameServer
) -> None:
    names.addresses = {AAAA: ["::1"], A: ["127.0.0.1"]}
    gamma = Node(tmp_path / "n2", "n2", hub.url, [{"name": "gamma"}])
    node = node_at(tmp_path, hub, names.ip)
    with black_hole("::1", hub.port):
        question = sent_id(told(gamma, "send", "alpha", "how are you?"))
        reply = told(node, "reply", question, "fine", "--ack")
        assert reply.startswith("sent ")
        assert f"acked {question}" in reply
        page = json.loads(told(gamma, "inbox", "--json"))
        assert [message["body"] for message in page["messages"]] == ["fine"]
        assert (
            f"{node.settings['hub_url']} at 127.0.0.1, ::1 did not answer"
            in node.cli("doctor").stdout
        )
    assert not Outbox(node.folder / "outbox").waiting()


def test_with_tls_the_name_is_verified_whichever_address_was_taken(
    tmp_path: Path, names: NameServer
) -> None:
    authority = Authority(tmp_path / "tls")
    settings = authority.issue("hub", [HOST, "127.0.0.1"])
    ca_file = str(authority.ca_file)
    hub = HubWithNodes(tmp_path / "hub", {"n1": ("alpha",)}, ca_file=ca_file, **settings)
    names.addresses = {AAAA: ["::1"], A: ["127.0.0.1"]}
    try:
        node = node_at(tmp_path, hub, names.ip, hub_ca_file=ca_file)
        with black_hole("::1", hub.port):
            assert told(node, "send", "alpha", "hello").startswith("sent ")
            names.addresses = {AAAA: ["::1"]}
            away = told(node, "inbox", code=69)
            assert "::1 did not answer within" in away
    finally:
        hub.process.kill()


def test_a_watcher_comes_back_though_its_name_servers_are_gone(
    tmp_path: Path, hub: HubWithNodes, names: NameServer
) -> None:
    node = node_at(tmp_path, hub, names.ip)
    node.start()
    try:
        until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online")
        names.silent = {A, AAAA}
        hub.process.kill()
        hub.start()
        until(lambda: hub.agent("alpha")["status"] == "online", what="alpha is online again")
        node.watcher.stop()
        assert node.watcher.child.returncode == 0
    finally:
        node.watcher.kill()


def test_a_gateways_name_has_a_deadline_too(
    tmp_path: Path, hub: HubWithNodes, names: NameServer
) -> None:
    names.silent = {A, AAAA}
    node = Node(
        tmp_path / "n1",
        "n1",
        hub.url,
        [{"name": "alpha"}],
        gateway_url="http://gateway.test:18789",
    )
    node.within = asking(tmp_path / "names", names.ip, options=FOR_EVER)
    done = node.cli("doctor")
    assert "name servers did not answer within" in done.stdout
    assert "for gateway.test" in done.stdout
    node.start()
    try:
        until(
            lambda: [s for s in node.watcher.lines() if s["event"] == "gateway does not answer"],
            what="the watcher says that its gateway is away",
            seconds=patience(),
        )
        assert hub.agent("alpha")["status"] == "gateway-down"
    finally:
        node.watcher.kill()
