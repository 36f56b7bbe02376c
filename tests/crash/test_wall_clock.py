"""The wall clock of a running server jumps by a day, forward and back, by libfaketime.

`test_clock.py` has the finer cases, with clocks that are handed in; here it is the real process:
gunicorn, gevent's timers and native threads with the clock that they find.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.support.faketime import WallClock
from tests.support.hub import HubProcess, StreamReader, running
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path

HOUR_S = 3600
HALF_A_DAY_S = 12 * HOUR_S


def days_off(stamp: str) -> int:
    """How many days a stamp of the hub is ahead of this machine's clock."""
    ahead = datetime.fromisoformat(stamp) - datetime.now(UTC)
    return round(ahead.total_seconds() / (24 * HOUR_S))


def status_of(hub: HubProcess, agent: str) -> str:
    listed = hub.client("n1").get("/api/agents").body["agents"]
    return str(next(a["status"] for a in listed if a["name"] == agent))


def bodies(hub: HubProcess) -> list[str]:
    shown = hub.client("n3").get("/api/inbox?peek=1&unread=0&limit=500").body["messages"]
    return [message["body"] for message in shown]


def keyed(hub: HubProcess) -> Any:
    body = {"to": "delta", "body": "keyed"}
    return hub.client("n2").post("/api/send", body, Idempotency_Key="one").body["id"]


def sent_and_read(hub: HubProcess, receipts: StreamReader, body: str) -> tuple[str, str]:
    """The stamps of a message and of its receipt."""
    sent = hub.client("n2").send(body, to="delta")
    assert hub.client("n3").post("/api/ack", {"ids": [sent["id"]]}).body["acked"] == [sent["id"]]
    receipt = receipts.of_type("receipt").data
    assert receipt["id"] == sent["id"]
    return sent["created_at"], receipt["read_at"]


def test_order_expiry_presence_and_receipts_stay_right(tmp_path: Path) -> None:
    wall = WallClock(tmp_path)
    with running(
        tmp_path, wall.environ, sweep_interval_s=0.2, retain_read_days=0.5, keepalive_s=0.5
    ) as hub:
        watcher = hub.stream("n3", "role=watcher")
        watcher.of_type("hello")
        receipts = hub.stream("n2", "receipts=1")
        receipts.of_type("hello")
        first, expected = keyed(hub), ["keyed"]
        hub.client("n2").send("kept", to="delta", expires_in_s=HOUR_S)
        expected.append("kept")
        for days in (0, 1, -1, 1):
            hub.client("n2").send(f"fleeting before {days}", to="delta", expires_in_s=1)
            wall.set(days=days)
            created_at, read_at = sent_and_read(hub, receipts, f"read {days}")
            assert (days_off(created_at), days_off(read_at)) == (days, days)
            hub.client("n2").send(f"lasting {days}", to="delta", expires_in_s=HALF_A_DAY_S)
            expected += [f"read {days}", f"lasting {days}"]
            wait_until(lambda: not any("fleeting" in body for body in bodies(hub)))
            # touches what has expired, but must take nothing that was read to the archive
            assert hub.client(None).post("/api/admin/archive", None).status == 200
            assert bodies(hub) == expected
            assert status_of(hub, "delta") == "online"
            assert status_of(hub, "gamma") == "deaf"
            assert keyed(hub) == first
            assert hub.client("n1").get("/api/inbox?agent=beta&wait_s=0.3").status == 200
        seqs = [watcher.of_type("message").data["seq"] for _ in range(len(expected) + 4)]
        assert seqs == sorted(set(seqs))


def test_what_must_end_ends_in_its_own_time(tmp_path: Path) -> None:
    """A clock set back must not give a lease, a stream or a session another day."""
    wall = WallClock(tmp_path)
    with running(
        tmp_path, wall.environ, lease_s=1, offline_after_s=1.5, stream_lifetime_s=2
    ) as hub:
        for days in (-1, 1):
            watcher = hub.stream("n3", "role=watcher")
            watcher.of_type("hello")
            wall.set(days=days)
            wait_until(lambda: status_of(hub, "delta") == "offline")
            assert watcher.of_type("bye").data["reason"] == "lifetime"


def test_a_restart_a_day_earlier_keeps_all_mail_in_order(tmp_path: Path) -> None:
    wall = WallClock(tmp_path)
    with running(tmp_path, wall.environ) as hub:
        sent = [hub.client("n2").send("before", to="delta", expires_in_s=HOUR_S)]
        stream = hub.stream("n3")
        stream.of_type("message")
        hub.hang_up()
        hub.kill()
        wall.set(days=-1)
        hub.start()
        sent.append(hub.client("n2").send("after", to="delta"))
        assert days_off(sent[1]["created_at"]) == -1
        assert bodies(hub) == ["before", "after"]
        resumed = hub.stream("n3", last_event_id=stream.last_id or "")
        assert resumed.of_type("message").data["id"] == sent[1]["id"]
        first, second = (message["recipients"][0]["seq"] for message in sent)
        assert first < second
