"""Watchers and command lines of a fleet with several hubs: real hubs, killed and stopped.

Each hub has a database of its own here, so what one has accepted no other one pushes. The tests
send to the hub where the watcher is, and ask each hub for what it has.
"""

from __future__ import annotations

import itertools
import json
import signal
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.hub.order import ordered
from tests.support.certificates import Authority
from tests.support.cli import told
from tests.support.names import black_hole
from tests.support.node_side import HubWithNodes, Node, StandinProcess, token_of, until
from tests.support.played_hub import PlayedHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AGENTS = ("alpha", "beta")
NODES = {"n1": AGENTS, "n2": ("gamma",)}


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[list[HubWithNodes]]:
    """Three hubs, in the order in which node n1 tries them."""
    made = [HubWithNodes(tmp_path / f"hub{n}", NODES, keepalive_s=0.5) for n in range(3)]
    urls = ordered("n1", [one.url for one in made])
    yield sorted(made, key=lambda one: urls.index(one.url))
    for one in made:
        one.process.kill()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[StandinProcess]:
    standin = StandinProcess(tmp_path / "gateway", AGENTS)
    yield standin
    standin.process.kill()


@pytest.fixture
def make_node(tmp_path: Path, gateway: StandinProcess) -> Iterator[Callable[..., Node]]:
    made: list[Node] = []

    def make(*urls: str) -> Node:
        agents = [{"name": name} for name in AGENTS]
        folder = tmp_path / f"n1-{len(made)}"
        more = {"gateway_url": gateway.url, "wake_min_interval_s": 1.5, "hub_urls": urls}
        made.append(Node(folder, "n1", urls[0], agents, **more))
        return made[-1]

    yield make
    for node in made:
        if hasattr(node, "watcher"):
            node.watcher.kill()


@pytest.fixture
def node(hubs: list[HubWithNodes], make_node: Callable[..., Node]) -> Node:
    return make_node(*(hub.url for hub in hubs))


def leading(url: str, *others: str) -> str:
    """The same address, spelled so that node n1 tries it before the others."""
    spellings = (url + "/" * number for number in itertools.count())
    return next(one for one in spellings if ordered("n1", [one, *others])[0] == one)


def is_online(hub: HubWithNodes) -> bool:
    return bool(hub.agent("alpha")["status"] == "online")


def bodies(hub: HubWithNodes, agent: str) -> list[str]:
    page = hub.call("GET", f"/api/inbox?agent={agent}&peek=1", token=token_of("n1"))
    return [message["body"] for message in page["messages"]]


def test_a_watcher_goes_on_when_its_hub_is_killed_and_wakes_for_what_the_next_one_has(
    hubs: list[HubWithNodes], gateway: StandinProcess, node: Node
) -> None:
    node.start()
    until(lambda: is_online(hubs[0]), what="it is at its first hub")
    assert not any(map(is_online, hubs[1:]))
    hubs[0].process.kill()
    until(lambda: is_online(hubs[1]), what="it is at the second one")
    sent = hubs[1].send("alpha")
    until(lambda: gateway.wakes("alpha"), what="alpha is woken")
    reported = ("received_at", "accepted_at")
    until(lambda: all(map(hubs[1].timeline(sent["id"], "alpha").get, reported)), what="its hops")
    hubs[1].process.kill()
    until(lambda: is_online(hubs[2]), what="it is at the third one")
    hubs[2].send("beta")
    until(lambda: gateway.wakes("beta"), what="beta is woken")
    hubs[0].start()
    hubs[2].process.stop()  # an orderly end, with a `bye`
    until(lambda: is_online(hubs[0]), what="it is at the first one again")
    assert not node.watcher.child.poll()


def test_with_all_hubs_dead_it_waits_and_takes_the_first_that_is_back(
    hubs: list[HubWithNodes], gateway: StandinProcess, node: Node
) -> None:
    node.start()
    until(lambda: is_online(hubs[0]), what="it is at its first hub")
    for hub in hubs:
        hub.process.kill()
    hubs[2].start()
    until(lambda: is_online(hubs[2]), what="it is at the only one that lives")
    hubs[2].send("alpha")
    until(lambda: gateway.wakes("alpha"), what="alpha is woken")


def test_a_hub_that_is_not_ready_or_not_there_is_passed_over(
    hubs: list[HubWithNodes], make_node: Callable[..., Node]
) -> None:
    """The first two hubs in the node's order are one that answers 503 and one that is silent."""
    refusal = 503, {"code": "not_ready", "detail": "it starts"}
    with PlayedHub(lambda *_: refusal) as starting, black_hole("127.0.0.1") as port:
        silent = leading(f"http://127.0.0.1:{port}", hubs[0].url)
        node = make_node(leading(starting.url, silent, hubs[0].url), silent, hubs[0].url)
        node.start()
        until(lambda: is_online(hubs[0]), what="it is at the one that is well")
        noted = node.folder / "outbox" / "last-hub"
        until(noted.exists, what="the watcher has noted who answered it")
        noted.unlink()
        told(node, "send", "--as", "alpha", "beta", "once")
    assert bodies(hubs[0], "beta") == ["once"]


def test_a_hub_that_cannot_be_trusted_is_passed_over(
    tmp_path: Path, make_node: Callable[..., Node]
) -> None:
    """The first hub has another authority's certificate, the second one speaks no TLS."""
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    strange, good = (
        HubWithNodes(tmp_path / name, NODES, ca_file=str(one.ca_file), **one.issue("hub"))
        for name, one in (("strange", theirs), ("good", ours))
    )
    plain = HubWithNodes(tmp_path / "plain", NODES)
    try:
        second = leading(plain.url.replace("http:", "https:"), good.url)
        node = make_node(leading(strange.url, second, good.url), second, good.url)
        node.settings["hub_ca_file"] = str(ours.ca_file)
        node.write()
        told(node, "send", "--as", "alpha", "beta", "in secret")
        assert bodies(good, "beta") == ["in secret"]
        node.start()
        until(lambda: is_online(good), what="the watcher is at the one that is trusted")
        facts = json.loads(node.cli("doctor", "--json").stdout)
    finally:
        for hub in (strange, good, plain):
            hub.process.kill()
    found = {check["name"]: check for check in facts["checks"]}
    assert "is not signed by" in found[f"hub {node.settings['hub_url']}"]["found"]
    assert "it speaks plain HTTP" in found[f"hub {second}"]["found"]
    assert found[f"hub {good.url}"]["ok"]
    assert found[f"certificate of {good.url}"]["ok"]


def test_a_send_whose_first_hub_is_dead_is_taken_by_another_one_and_not_kept(
    hubs: list[HubWithNodes], node: Node
) -> None:
    hubs[0].process.kill()
    assert told(node, "send", "--as", "alpha", "beta", "one", "--key", "k").startswith("sent ")
    hubs[0].start()
    again = told(node, "send", "--as", "alpha", "beta", "one", "--key", "k")
    assert again.startswith("sent ")
    assert bodies(hubs[1], "beta") == ["one"]  # asked first the second time, too
    assert not bodies(hubs[0], "beta")
    assert not list((node.folder / "outbox").glob("*.json"))


def test_a_send_is_kept_only_when_no_hub_takes_it_and_arrives_once(
    hubs: list[HubWithNodes], node: Node
) -> None:
    for hub in hubs:
        hub.process.kill()
    assert "Kept in the outbox" in told(node, "send", "--as", "alpha", "beta", "later")
    hubs[1].start()
    node.start()
    until(lambda: bodies(hubs[1], "beta") == ["later"], what="it has arrived")
    until(lambda: not list((node.folder / "outbox").glob("*.json")), what="it is kept no more")
    assert bodies(hubs[1], "beta") == ["later"]


def test_a_hub_that_hangs_after_it_took_a_message_makes_no_second_one(
    hubs: list[HubWithNodes], make_node: Callable[..., Node]
) -> None:
    with PlayedHub(lambda *_: None) as hanging:
        node = make_node(leading(hanging.url, hubs[0].url), hubs[0].url)
        told(node, "send", "--as", "alpha", "beta", "hello", "--key", "k7")
        assert hanging.keys == ["k7"]
    told(node, "send", "--as", "alpha", "beta", "hello", "--key", "k7")
    assert bodies(hubs[0], "beta") == ["hello"]


def test_doctor_shows_each_hub_and_what_is_wrong_with_it(
    hubs: list[HubWithNodes], node: Node
) -> None:
    node.start()
    until(lambda: is_online(hubs[0]), what="it is at its first hub")
    lines = told(node, "doctor", "--as", "alpha").splitlines()
    shown = [line for line in lines if line.startswith("ok   hub http")]
    assert [line.split()[2].rstrip(":") for line in shown] == [hub.url for hub in hubs]
    assert shown[0].endswith(", this node's first")
    hubs[2].process.signal_group(signal.SIGKILL)
    facts = json.loads(node.cli("doctor", "--json").stdout)
    failed = [check for check in facts["checks"] if not check["ok"]]
    assert [check["name"] for check in failed] == [f"hub {hubs[2].url}"]
    assert "this node uses another hub" in failed[0]["advice"]


def test_hubs_lists_what_the_hub_says_of_itself_and_of_others(
    hubs: list[HubWithNodes], node: Node
) -> None:
    lines = told(node, "hubs", "--as", "alpha").splitlines()
    assert lines[0].split() == ["HUB", "ADDRESS", "READY", "RELEASE", "SEEN"]
    assert [line.split()[1:3] for line in lines[1:]] == [[hubs[0].url, "yes"]]
    assert lines[1].endswith("now: it answers")
