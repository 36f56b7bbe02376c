"""Two hubs on one database: a message that one takes is pushed by the other, in order, no gap."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hub import ADMIN, Client, StreamReader, digest
from tests.support.hubs import hubs_in, log_in
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hub import Event, HubProcess


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[HubProcess]]:
    """Two hubs for the tests of this module."""
    limits = {"sends_per_s": 10_000, "send_burst": 10_000, "streams_per_token": 1000}
    with hubs_in(tmp_path_factory.mktemp("hubs"), **limits) as both:
        yield both


def seq_of(event: Event) -> int:
    assert event.id is not None
    return int(event.id.rpartition("-")[2])


def messages(stream: StreamReader, count: int) -> list[Event]:
    return [stream.of_type("message") for _ in range(count)]


def mailbox(hub: HubProcess, agent: str) -> dict[str, Any]:
    listed = hub.client(None).get("/api/agents").body["agents"]
    return next(one for one in listed if one["name"] == agent)


def test_a_message_through_one_hub_is_pushed_by_the_other(hubs: list[HubProcess]) -> None:
    stream = hubs[1].stream("n2")
    stream.of_type("hello")
    sent = hubs[0].client("n1").send("across", **{"from": "alpha", "to": "gamma"})
    event = stream.of_type("message")
    assert (event.data["id"], event.data["body"]) == (sent["id"], "across")


def test_streams_at_all_hubs_carry_the_same_in_one_order(hubs: list[HubProcess]) -> None:
    streams = [hubs[place].stream("n3") for place in (0, 1, 0, 1)]
    for stream in streams:
        stream.of_type("hello")
    count = 60

    def send(place: int, number: int) -> None:
        client = hubs[place].client("n1")
        for n in range(count):
            client.send(f"{number} {n}", **{"from": "alpha", "to": "delta"})

    senders = [threading.Thread(target=send, args=(n % 2, n)) for n in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    told = [[seq_of(event) for event in messages(stream, 4 * count)] for stream in streams]
    assert told[0] == sorted(set(told[0]))
    assert told[1:] == told[:1] * 3


def test_a_cursor_of_one_hub_goes_on_at_the_other(hubs: list[HubProcess]) -> None:
    hello = hubs[0].stream("n2").of_type("hello").data
    first = hubs[0].stream("n2", last_event_id=f"{hello['epoch']}-{hello['head']}")
    sent = [
        hubs[n % 2].client("n1").send(f"{n}", **{"from": "beta", "to": "gamma"})["id"]
        for n in range(6)
    ]
    seen = [event.data["id"] for event in messages(first, 3)]
    assert first.last_id is not None
    first.close()
    second = hubs[1].stream("n2", last_event_id=first.last_id)
    assert second.of_type("hello").id == first.last_id
    seen += [event.data["id"] for event in messages(second, 3)]
    assert seen == sent


def test_a_long_poll_at_the_other_hub_is_answered(hubs: list[HubProcess]) -> None:
    hubs[1].client("n1").get("/api/inbox?agent=beta")
    before = hubs[1].client("n1").get("/api/inbox?agent=beta").body["messages"]
    hubs[1].client("n1").post("/api/ack", {"agent": "beta", "ids": [m["id"] for m in before]})
    found: list[Any] = []

    def wait() -> None:
        found.append(hubs[1].client("n1").get("/api/inbox?agent=beta&wait_s=30").body)

    waiter = threading.Thread(target=wait)
    waiter.start()
    sent = hubs[0].client("n2").send("now", to="beta")
    waiter.join()
    assert [message["id"] for message in found[0]["messages"]] == [sent["id"]]


def test_counters_follow_sends_fetches_and_acks_at_the_other_hub(hubs: list[HubProcess]) -> None:
    sent = hubs[0].client("n1").send("count me", **{"from": "alpha", "to": "delta"})
    before = mailbox(hubs[0], "delta")
    wait_until(lambda: mailbox(hubs[1], "delta") == before, "the other hub counts it, too")
    watcher = hubs[1].stream("n3", "role=watcher")
    watcher.of_type("hello")
    hubs[0].client("n3").get("/api/inbox?limit=500")
    assert watcher.of_type("mailbox").data["unfetched"] == 0
    hubs[0].client("n3").post("/api/ack", {"ids": [sent["id"]]})
    assert watcher.of_type("mailbox").data["unread"] == before["unread"] - 1
    watcher.close()


def test_receipts_reach_the_sender_at_the_other_hub(hubs: list[HubProcess]) -> None:
    receipts = hubs[0].stream("n1", "receipts=1")
    receipts.of_type("hello")
    sent = hubs[1].client("n1").send("read me", **{"from": "alpha", "to": "gamma"})
    hubs[1].client("n2").post("/api/ack", {"ids": [sent["id"]]})
    assert receipts.of_type("receipt").data["id"] == sent["id"]
    receipts.close()


def test_mail_expires_at_all_hubs(hubs: list[HubProcess]) -> None:
    other = {"from": "alpha", "to": "delta"}
    hubs[0].client("n1").send("before it", **other)  # brings along what the other hub did
    before = mailbox(hubs[0], "gamma")["unread"]
    body = {"from": "alpha", "to": "gamma", "expires_in_s": 1}
    hubs[0].client("n1").send("soon over", **body)
    wait_until(lambda: mailbox(hubs[0], "gamma")["unread"] == before, "it is over")
    hubs[1].client("n1").send("after it", **other)
    assert mailbox(hubs[1], "gamma")["unread"] == before


def test_a_key_that_one_hub_knows_is_answered_alike_by_the_other(hubs: list[HubProcess]) -> None:
    body = {"from": "alpha", "to": "gamma", "body": "once"}
    first = hubs[0].client("n1").post("/api/send", body, Idempotency_Key="k1").body
    again = hubs[1].client("n1").post("/api/send", body, Idempotency_Key="k1").body
    assert first["id"] == again["id"]


def test_an_open_page_shows_what_another_hub_took(hubs: list[HubProcess]) -> None:
    cookie = f"agent_bus_session_{hubs[1].port}={log_in(hubs[1], ADMIN)[1]}"
    page = StreamReader(hubs[1].port, "", path="/ui/stream", cookie=cookie)
    page.of_type("fleet")
    sent = hubs[0].client("n1").send("look", **{"from": "alpha", "to": "delta"})
    shown = page.of_type("feed").data["messages"]
    while sent["id"] not in [message["id"] for message in shown]:
        shown = page.of_type("feed").data["messages"]
    page.close()


def test_an_agents_own_token_counts_at_every_hub_once_the_roster_is_put(
    hubs: list[HubProcess],
) -> None:
    """And the node's watcher, wherever its stream is, is told nothing of what its mail says."""
    watcher = hubs[1].stream("n2", "role=watcher")
    watcher.of_type("hello")
    own = Client(hubs[1].port, "own-gamma")
    entry = {"agent": "gamma", "sha256": [digest("own-gamma")]}
    try:
        assert hubs[0].enrol(agent_tokens=[entry]).body["agent_tokens_changed"] == ["gamma"]
        assert own.get("/api/inbox?peek=1").status == 200
        assert hubs[1].client("n2").get("/api/inbox?agent=gamma").status == 403
        sent = hubs[0].client("n1").send("s3cret", **{"from": "alpha", "to": "gamma"})
        told = watcher.of_type("message").data
        while told["id"] != sent["id"]:
            told = watcher.of_type("message").data
        assert (told["body"], told["withheld"]) == ("", True)
    finally:
        assert hubs[0].enrol().status == 200
    assert own.get("/api/inbox?peek=1").status == 401
    own.close()
