"""GET /api/stream: from backlog to live without gap, and how streams end."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tests.support.hub import HubProcess, running
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_the_opening_is_hello_with_the_place_to_resume_from(hub: HubProcess) -> None:
    stream = hub.stream("n2")
    assert stream.status == 200
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-store"
    assert stream.headers["x-accel-buffering"] == "no"
    hello = stream.next()
    assert hello is not None
    assert hello.type == "hello"
    assert hello.id == f"{hello.data['epoch']}-{hello.data['head']}"
    assert hello.data["agents"] == ["gamma"]
    assert hello.data["mailboxes"][0]["agent"] == "gamma"
    assert hello.data["to_agent"] is None


def test_a_message_is_pushed_with_its_id_and_then_the_mailbox_of_watchers(hub: HubProcess) -> None:
    stream = hub.stream("n3", "role=watcher")
    stream.of_type("hello")
    sent = hub.client("n2").send("hi", to="delta", subject="s", data={"n": 1}, priority="high")
    event = stream.of_type("message")
    seq = sent["recipients"][0]["seq"]
    assert event.id is not None
    assert event.id.endswith(f"-{seq}")
    assert event.data == {
        "id": sent["id"],
        "seq": seq,
        "from_agent": "gamma",
        "to_agent": "delta",
        "subject": "s",
        "body": "hi",
        "data": {"n": 1},
        "priority": "high",
        "reply_to": None,
        "thread_id": sent["id"],
        "created_at": sent["created_at"],
        "read_at": None,
    }
    box = stream.of_type("mailbox").data
    assert box["agent"] == "delta"
    assert box["unfetched"] >= 1
    assert box["max_unfetched_seq"] == seq
    hub.client("n3").get("/api/inbox?agent=delta&limit=500")
    assert stream.of_type("mailbox").data["unfetched"] == 0


def test_a_stream_without_cursor_starts_with_the_unread_backlog(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        client = hub.client("n2")
        ids = [client.send(str(n), to="delta")["id"] for n in range(3)]
        hub.client("n3").post("/api/ack", {"ids": [ids[1]]})
        stream = hub.stream("n3")
        stream.of_type("hello")
        assert [stream.of_type("message").data["id"] for _ in range(2)] == [ids[0], ids[2]]


def test_a_stream_resumes_after_its_cursor_with_read_ones_too(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        client = hub.client("n2")
        stream = hub.stream("n3")
        first = client.send("0", to="delta")
        cursor = stream.of_type("message").id
        stream.close()
        ids = [client.send(str(n), to="delta")["id"] for n in range(1, 4)]
        hub.client("n3").post("/api/ack", {"ids": ids[:1]})
        again = hub.stream("n3", last_event_id=cursor or "")
        assert [again.of_type("message").data["id"] for _ in ids] == ids
        by_query = hub.stream("n3", f"last_event_id={cursor}")
        assert by_query.of_type("message").data["id"] == ids[0]
        assert first["id"] not in ids


def test_a_foreign_epoch_or_a_cursor_ahead_is_reset_to_the_unread_backlog(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        sent = hub.client("n2").send(to="delta")
        epoch = hub.client("n3").get("/api/stats").body["epoch"]
        cases = {"0badbeef-1": "epoch", "rubbish": "epoch", f"{epoch}-999": "ahead"}
        for cursor, reason in cases.items():
            stream = hub.stream("n3", last_event_id=cursor)
            reset = stream.of_type("reset").data
            assert reset["reason"] == reason
            assert reset["head"] == 1
            assert stream.of_type("message").data["id"] == sent["id"]
            stream.close()


def test_nothing_falls_between_backlog_and_live_under_traffic(tmp_path: Path) -> None:
    import threading

    with running(tmp_path, sends_per_s=100_000, send_burst=100_000) as hub:
        total = 600

        def send_all() -> None:
            client = hub.client("n2")
            for n in range(total):
                client.send(str(n), to="delta")

        sender = threading.Thread(target=send_all)
        sender.start()
        try:
            wait_until(lambda: hub.client("n3").get("/api/stats").body["messages"]["head"] > 50)
            seen: list[int] = []
            cursor = ""
            lengths = itertools.cycle([1, 7, 50, 90])
            while len(seen) < total:  # break off again and again, resume by the cursor
                stream = hub.stream("n3", last_event_id=cursor)
                for _ in range(min(next(lengths), total - len(seen))):
                    event = stream.of_type("message")
                    seen.append(event.data["seq"])
                    cursor = event.id or ""
                stream.close()
        finally:
            sender.join()
        assert seen == list(range(1, total + 1))


def test_a_newer_watcher_of_the_node_ends_the_older_one(hub: HubProcess) -> None:
    first = hub.stream("n2", "role=watcher")
    first.of_type("hello")
    second = hub.stream("n2", "role=watcher")
    second.of_type("hello")
    assert first.of_type("bye").data["reason"] == "superseded"
    nodes = {n["node"]: n for n in hub.client("n2").get("/api/agents").body["nodes"]}
    assert nodes["n2"]["connected"] is True


def test_a_stream_of_some_agents_carries_only_theirs(hub: HubProcess) -> None:
    stream = hub.stream("n1", "agents=beta")
    assert stream.of_type("hello").data["agents"] == ["beta"]
    client = hub.client("n2")
    client.send(to="alpha")
    wanted = client.send(to="beta")
    while stream.of_type("message").data["id"] != wanted["id"]:
        pass


def test_a_moved_agents_mail_switches_to_its_new_node_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        old, new = hub.stream("n3"), hub.stream("n2", "role=watcher")
        old.of_type("hello")
        new.of_type("hello")
        moved = hub.enrol({"n1": ("alpha", "beta"), "n2": ("gamma", "delta"), "n3": ()})
        assert moved.body["moved"] == ["delta"]
        sent = hub.client("n1").send(**{"from": "alpha", "to": "delta"})
        assert new.of_type("message").data["id"] == sent["id"]
        note = hub.client("n1").send(**{"from": "alpha", "to": "gamma"})
        assert new.of_type("message").data["id"] == note["id"]
        hub.stop()
        assert [e.type for e in old.rest()] == ["bye"]


def test_receipts_come_to_a_sender_that_asked_for_them(hub: HubProcess) -> None:
    stream = hub.stream("n2", "receipts=1")
    stream.of_type("hello")
    sent = hub.client("n2").send(to="delta")
    hub.client("n3").post("/api/ack", {"ids": [sent["id"]]})
    receipt = stream.of_type("receipt").data
    assert receipt["id"] == sent["id"]
    assert receipt["agent"] == "delta"


def test_a_stream_ends_after_its_lifetime_and_says_so(tmp_path: Path) -> None:
    with running(tmp_path, stream_lifetime_s=0.5, keepalive_s=0.1) as hub:
        events = hub.stream("n3").rest()
        assert events[-1].type == "bye"
        assert events[-1].data["reason"] == "lifetime"


def test_a_revoked_token_loses_its_streams(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        stream = hub.stream("n3")
        stream.of_type("hello")
        hub.enrol(tokens=[{"node": "n3", "sha256": ["0" * 64]}])
        assert stream.of_type("bye").data["reason"] == "revoked"
        assert hub.client("n3").get("/api/agents").status == 401


def test_on_sigterm_streams_say_bye_and_the_hub_ends_within_its_grace(tmp_path: Path) -> None:
    """Idle connections do not make it wait for all of its grace, which gunicorn would log."""

    def stop_with_streams(hub: HubProcess) -> bool:
        known = len(hub.log())
        streams = [hub.stream(node) for node in ("n1", "n2", "n3")]
        for stream in streams:
            stream.of_type("hello")
        assert hub.stop() == 0
        assert [s.of_type("bye").data["reason"] for s in streams] == ["shutdown"] * 3
        return "Worker graceful timeout" not in hub.log()[known:]

    with running(tmp_path) as hub:
        tried = [stop_with_streams(hub)]
        while not tried[-1] and len(tried) < 3:  # the grace is 5 s: a busy machine may take it
            hub.start()
            tried.append(stop_with_streams(hub))
        assert tried[-1], hub.log()


def test_streams_over_the_limit_are_refused_with_503(tmp_path: Path) -> None:
    with running(tmp_path, streams_per_token=2) as hub:
        kept = [hub.stream("n3") for _ in range(2)]
        refused = hub.client("n3").get("/api/stream")
        assert (refused.status, refused.body["code"]) == (503, "too_many_streams")
        kept[0].close()


def test_the_archive_of_mail_before_the_cursor_is_told_by_a_reset(tmp_path: Path) -> None:
    with running(tmp_path, retain_read_days=0.000001, sweep_interval_s=0.1) as hub:
        gamma, delta = hub.client("n2"), hub.client("n3")
        stream = hub.stream("n3")
        stream.of_type("hello")
        cursor = stream.last_id
        first = gamma.send(to="delta")["id"]
        delta.post("/api/ack", {"ids": [first]})
        archived = "/api/history?archived=1"
        wait_until(lambda: delta.get(archived).body["messages"])
        assert delta.get("/api/history").body["messages"] == []
        again = hub.stream("n3", last_event_id=cursor or "")
        assert again.of_type("reset").data["reason"] == "archived"
        assert delta.get(f"/api/messages/{first}").body["deliveries"][0]["read_at"]
