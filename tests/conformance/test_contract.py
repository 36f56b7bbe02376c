"""What every backend of the bus must do, seen from outside only."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING

from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from tests.conformance.conftest import Bus


def test_a_message_goes_from_send_to_stream_to_inbox_to_ack(bus: Bus) -> None:
    stream = bus.stream("right", "role=watcher")
    hello = stream.of_type("hello").data
    assert hello["agents"] == [bus.name("c")]
    fields = {"from": bus.name("a"), "to": bus.name("c"), "subject": "s", "data": {"k": [1]}}
    sent = bus.client("left").send("text", **fields)
    event = stream.of_type("message")
    assert event.data["id"] == sent["id"]
    assert event.data["seq"] == sent["recipients"][0]["seq"]
    assert event.id == f"{hello['epoch']}-{event.data['seq']}"
    reader = bus.client("right")
    shown = reader.get("/api/inbox").body["messages"]
    assert [(m["body"], m["data"], m["subject"]) for m in shown] == [("text", {"k": [1]}, "s")]
    assert reader.post("/api/ack", {"ids": [sent["id"]]}).body["acked"] == [sent["id"]]
    assert reader.get("/api/inbox").body["messages"] == []
    hops = bus.client("left").get(f"/api/messages/{sent['id']}").body["deliveries"][0]
    assert hops["stored_at"] <= hops["fetched_at"] <= hops["read_at"]


def test_recipients_are_a_union_without_the_sender_for_groups_and_broadcast(bus: Bus) -> None:
    client = bus.client("left")
    b, c, d = (bus.name(short) for short in "bcd")

    def recipients(**fields: object) -> set[str]:
        sent = client.send(**{"from": b, **fields})
        return {r["agent"] for r in sent["recipients"]}

    assert recipients(to=[f"@pair-{bus.run}", d]) == {c, d}
    assert recipients() == {bus.name("a"), c, d}
    assert recipients(to=b) == {b}


def test_one_unknown_name_refuses_the_whole_send(bus: Bus) -> None:
    body = {"from": bus.name("a"), "to": [bus.name("c"), "nobody-here"], "body": "x"}
    refused = bus.client("left").post("/api/send", body)
    assert (refused.status, refused.body["code"]) == (404, "unknown_agent")
    assert bus.client("right").get("/api/inbox?peek=1").body["messages"] == []


def test_a_key_makes_one_message_however_often_and_however_parallel(bus: Bus) -> None:
    body = {"to": bus.name("d"), "body": "once"}

    def send() -> str:
        reply = bus.client("right").post("/api/send", body, Idempotency_Key="the-key")
        assert reply.status == 201
        return str(reply.body["id"])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert len({future.result() for future in [pool.submit(send) for _ in range(16)]}) == 1
    other = {**body, "body": "other"}
    assert bus.client("right").post("/api/send", other, Idempotency_Key="the-key").status == 409
    assert len(bus.client("other").get("/api/inbox").body["messages"]) == 1


def test_order_is_by_seq_and_priority_only_orders_the_inbox(bus: Bus) -> None:
    client = bus.client("left")
    stream = bus.stream("right")
    stream.of_type("hello")
    ids = [
        client.send(**{"from": bus.name("a"), "to": bus.name("c"), "priority": p})["id"]
        for p in ("normal", "urgent", "high", "normal")
    ]
    assert [stream.of_type("message").data["id"] for _ in ids] == ids
    shown = bus.client("right").get("/api/inbox").body["messages"]
    assert [m["id"] for m in shown] == [ids[1], ids[2], ids[0], ids[3]]


def test_two_turns_at_once_can_tell_what_the_other_was_shown(bus: Bus) -> None:
    for n in range(5):
        bus.client("left").send(str(n), **{"from": bus.name("a"), "to": bus.name("c")})

    def counts() -> list[int]:
        messages = bus.client("right").get("/api/inbox").body["messages"]
        return [m["fetch_count"] for m in messages]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = [future.result() for future in [pool.submit(counts) for _ in range(4)]]
    assert sorted(count for (count, *_) in found) == [0, 1, 2, 3]
    assert all(len(set(each)) == 1 for each in found)


def test_a_stream_resumes_behind_its_cursor_and_starts_with_unread_without_one(bus: Bus) -> None:
    client = bus.client("left")
    fields = {"from": bus.name("a"), "to": bus.name("c")}
    first, second, third = (client.send(str(n), **fields)["id"] for n in range(3))
    bus.client("right").post("/api/ack", {"ids": [second]})
    fresh = bus.stream("right")
    assert [fresh.of_type("message").data["id"] for _ in range(2)] == [first, third]
    begin = bus.stream("right")
    event = begin.of_type("message")
    resumed = bus.stream("right", last_event_id=event.id or "")
    assert [resumed.of_type("message").data["id"] for _ in range(2)] == [second, third]


def test_a_cursor_of_another_history_is_reset(bus: Bus) -> None:
    bus.client("left").send(**{"from": bus.name("a"), "to": bus.name("c")})
    stream = bus.stream("right", last_event_id="00000000-7")
    assert stream.of_type("reset").data["reason"] == "epoch"
    assert stream.of_type("message").data["to_agent"] == bus.name("c")


def test_mailbox_events_follow_every_change_of_the_counters(bus: Bus) -> None:
    stream = bus.stream("right", "role=watcher")
    stream.of_type("hello")
    client, reader = bus.client("left"), bus.client("right")
    sent = client.send(**{"from": bus.name("a"), "to": bus.name("c")})
    seen = []
    for step in (None, "fetch", "ack"):
        if step == "fetch":
            reader.get("/api/inbox")
        elif step == "ack":
            reader.post("/api/ack", {"ids": [sent["id"]]})
        box = stream.of_type("mailbox").data
        seen.append((box["unfetched"], box["unread"]))
    assert seen == [(1, 1), (0, 1), (0, 0)]


def test_up_to_acks_only_what_its_agent_was_shown(bus: Bus) -> None:
    client, reader = bus.client("left"), bus.client("right")
    fields = {"from": bus.name("a"), "to": bus.name("c")}
    ids = [client.send(str(n), **fields)["id"] for n in range(3)]
    reader.get("/api/inbox?limit=2")
    assert reader.post("/api/ack", {"up_to": ids[2]}).body["acked"] == ids[:2]


def test_a_token_is_good_for_its_own_agents_only(bus: Bus) -> None:
    client = bus.client("right")
    foreign = bus.name("a")
    calls = [
        client.post("/api/send", {"from": foreign, "to": bus.name("b"), "body": "x"}),
        client.get(f"/api/inbox?agent={foreign}"),
        client.post("/api/ack", {"agent": foreign, "ids": ["0" * 26]}),
        client.get(f"/api/stream?agents={foreign}"),
        client.call("PUT", "/api/agents", {"agents": [], "tokens": []}),
    ]
    assert [(call.status, call.body["code"]) for call in calls] == [(403, "forbidden")] * 5


def test_presence_is_the_watchers_alone(bus: Bus) -> None:
    def status() -> str:
        listed = bus.client("left").get("/api/agents").body["agents"]
        return str(next(a["status"] for a in listed if a["name"] == bus.name("c")))

    assert status() in {"offline", "deaf"}
    plain = bus.stream("right")
    plain.of_type("hello")
    assert status() in {"offline", "deaf"}
    watcher = bus.stream("right", "role=watcher")
    watcher.of_type("hello")
    wait_until(lambda: status() == "online", "every hub has heard of the watcher")
    watcher.close()
    bus.client("left").send(**{"from": bus.name("a"), "to": bus.name("c")})
    assert status() in {"online", "deaf"}  # a dead peer is noticed at the next write


def test_history_pages_in_both_directions_see_the_same(bus: Bus) -> None:
    client = bus.client("left")
    fields = {"from": bus.name("a"), "to": bus.name("c")}
    ids = [client.send(str(n), **fields)["id"] for n in range(5)]

    def walk(order: str) -> list[str]:
        found, cursor = [], ""
        while True:
            path = f"/api/history?agent={bus.name('a')}&order={order}&limit=2{cursor}"
            page = client.get(path).body
            found += [m["id"] for m in page["messages"]]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    assert walk("asc") == ids
    assert walk("desc") == ids[::-1]


def test_a_retired_agent_keeps_its_mail_and_gets_no_more(bus: Bus) -> None:
    kept = bus.client("left").send(**{"from": bus.name("a"), "to": bus.name("c")})["id"]
    without = [
        {"name": bus.name(s), "node": f"{n}-{bus.run}"} for s, n in (("a", "left"), ("d", "other"))
    ]
    assert bus.enrol(agents=without, groups={}).status == 200
    body = {"from": bus.name("a"), "to": bus.name("c"), "body": "x"}
    refused = bus.client("left").post("/api/send", body)
    assert (refused.status, refused.body["code"]) == (409, "agent_retired")
    assert bus.enrol().body["revived"] == [bus.name("b"), bus.name("c")]
    assert [m["id"] for m in bus.client("right").get("/api/inbox").body["messages"]] == [kept]


def test_a_long_poll_is_answered_by_the_message(bus: Bus) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        poll = pool.submit(bus.client("right").get, "/api/inbox?wait_s=20")
        sent = bus.client("left").send(**{"from": bus.name("a"), "to": bus.name("c")})["id"]
        assert [m["id"] for m in poll.result(patience()).body["messages"]] == [sent]


def test_the_document_describes_what_is_served(bus: Bus) -> None:
    document = wait_until(lambda: bus.client("left").get("/api/openapi.json").body)
    assert document["openapi"].startswith("3.1")
    for path in ("/api/send", "/api/stream", "/api/inbox", "/api/ack", "/api/history"):
        assert path in document["paths"]


def test_an_entry_tells_when_it_was_shown_and_looking_again_at_once_leaves_that(bus: Bus) -> None:
    bus.client("left").send(**{"from": bus.name("a"), "to": bus.name("c")})
    reader = bus.client("right")
    shown = [reader.get("/api/inbox").body["messages"][0] for _ in range(3)]
    assert [entry["fetch_count"] for entry in shown] == [0, 1, 2]
    assert shown[0]["fetched_at"] is None
    assert shown[1]["fetched_at"] == shown[2]["fetched_at"] is not None
