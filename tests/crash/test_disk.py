"""The disk fills up in mid-traffic: nothing acknowledged is lost, and room heals it."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from agent_bus.core import errors
from tests.support.disk import disk_of, no_checkpoints
from tests.support.hub import FLEET, Client, HubProcess, Reply, running
from tests.support.patience import patience, wait_until
from tests.support.receiver import configured, receiving
from tests.support.store import draft, enrolled, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = "x" * 20_000
RAISED = {"sends_per_s": 1e6, "send_burst": 1_000_000, "stream_queue_events": 100_000}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    with disk_of(12, tmp_path / "disk") as place:
        yield place


@contextlib.contextmanager
def hub_on(place: Path, **more: Any) -> Iterator[HubProcess]:
    with running(place, **RAISED, **more) as hub:
        yield hub


def send_until_full(
    hub: HubProcess,
    accepted: dict[str, str],
    lock: threading.Lock,
    name: str,
    *,
    small: bool = False,
) -> None:
    """Send until the hub keeps answering 507; adds accepted messages to `accepted`.

    Messages take different numbers of pages: after a refusal a smaller one may fit. The smallest
    has no key.
    """
    client, refusals = Client(hub.port, "token-n2"), 0
    with contextlib.closing(client):
        for number in itertools.count():
            key = f"{name}-{number}"
            body = {"to": "delta", "body": "x" if small else key + BODY}
            with_key = {} if small else {"Idempotency_Key": key}
            reply = client.post("/api/send", body, **with_key)
            if reply.status == 507:
                assert reply.body["code"] == "disk_full"
                assert int(reply.headers["retry-after"]) > 0
                refusals += 1
                if refusals == 5:
                    return
                continue
            assert reply.status == 201, reply.body
            refusals = 0
            with lock:
                accepted[key] = reply.body["id"]


def fill(hub: HubProcess) -> dict[str, str]:
    """Eight senders at once, until each has met the full disk; under `no_checkpoints`.

    Then small messages, until not even these fit: a refused write frees its pages for the next.
    """
    accepted: dict[str, str] = {}
    lock = threading.Lock()
    senders = [
        threading.Thread(target=send_until_full, args=(hub, accepted, lock, str(n)))
        for n in range(8)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(patience())
        assert not sender.is_alive(), "a sender was never answered"
    send_until_full(hub, accepted, lock, "small", small=True)
    return accepted


def test_a_full_disk_refuses_sends_and_nothing_else(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(7_000_000))
    with hub_on(small_disk) as hub, no_checkpoints(hub.folder):
        stream = hub.stream("n3", "role=watcher")
        stream.of_type("hello")
        early = hub.client("n2").send("early", to="delta")
        accepted = fill(hub)
        assert len(accepted) > 50

        reader = hub.client("n3")
        shown = reader.get("/api/inbox?limit=5")
        assert shown.status == 200
        assert shown.body["messages"][0]["id"] == early["id"]
        assert hub.client(None).get("/livez").status == 200
        unready = hub.client(None).get("/readyz")
        assert (unready.status, unready.body["checks"]["reading"]) == (503, "ok")
        assert "disk is full" in unready.body["checks"]["writing"]
        assert reader.get(f"/api/messages/{early['id']}").status == 200
        assert reader.get("/api/history?limit=3").status == 200
        assert hub.stream("n3").of_type("message").data["id"] == early["id"]
        pushed = {stream.of_type("message").data["id"] for _ in range(len(accepted) + 1)}
        assert pushed == {early["id"], *accepted.values()}

        ballast.unlink()  # nobody restarts anything
        assert hub.client(None).get("/readyz").status == 200
        after = wait_until(
            lambda: hub.client("n2").post("/api/send", {"to": "delta", "body": "room"}).status
        )
        assert after == 201
        assert stream.of_type("message").data["body"] == "room"
        acked = reader.post("/api/ack", {"ids": [early["id"]]})
        assert acked.body["acked"] == [early["id"]]


def test_on_a_full_disk_every_call_answers_what_it_can(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(7_000_000))
    with hub_on(small_disk) as hub, no_checkpoints(hub.folder):
        accepted = fill(hub)
        reader, operator = hub.client("n3"), hub.client(None)
        key, first = next(iter(accepted.items()))
        known = {"to": "delta", "body": key + BODY}
        again = hub.client("n2").post("/api/send", known, Idempotency_Key=key)
        assert (again.status, again.body["id"]) == (201, first)
        for path in ("/api/inbox?wait_s=1", "/api/history", f"/api/messages/{first}",
                     "/api/agents", "/api/stats"):  # fmt: skip
            assert reader.get(path).status == 200, path
        presence = {"node_version": "1", "agents": [{"name": "delta", "gateway": "ok"}]}
        report = {"agent": "delta", "event": "received", "up_to_seq": 1}
        assert reader.post("/api/presence", presence).status == 204
        assert reader.post("/api/wakes", {"reports": [report]}).status == 204
        for written in (
            hub.client("n2").post("/api/send", {"to": "delta", "body": BODY}),
            hub.enrol({**FLEET, "n4": tuple(f"agent-{n}" for n in range(500))}),
            operator.post("/api/admin/backup", None),
        ):
            assert (written.status, written.body["code"]) == (507, "disk_full")
            assert int(written.headers["retry-after"]) > 0
        assert "agent-1" not in [a["name"] for a in operator.get("/api/agents").body["agents"]]
        assert "Traceback" not in hub.log()


def test_a_hub_that_starts_on_a_full_disk_serves_what_it_can(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(7_000_000))
    with hub_on(small_disk) as hub:
        with no_checkpoints(hub.folder):
            fill(hub)
            hub.hang_up()
            hub.kill()
        hub.start(wait=False)
        unready = wait_until(lambda: answer_of(hub, "/readyz"), "the hub listens")
        assert unready is not None
        assert (unready.status, "disk is full" in unready.body["checks"]["writing"]) == (503, True)
        assert len(hub.client("n3").get("/api/inbox?limit=5").body["messages"]) == 5
        ballast.unlink()
        assert hub.client(None).get("/readyz").status == 200
        assert hub.client("n2").send("room", to="delta")


def answer_of(hub: HubProcess, path: str) -> Reply | None:
    """The answer of a hub that may not listen yet."""
    client = Client(hub.port, None)
    with contextlib.suppress(OSError), contextlib.closing(client):
        return client.get(path)
    return None


def test_what_was_acknowledged_on_a_full_disk_survives_kill_9(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(7_000_000))
    with hub_on(small_disk) as hub:
        with no_checkpoints(hub.folder):
            accepted = fill(hub)
            hub.hang_up()
            hub.kill()
        ballast.unlink()
        hub.start()
        stored = set()
        path = "/api/history?limit=50&order=asc"
        cursor = ""
        while True:
            page = hub.client("n3").get(path + cursor).body
            stored |= {m["id"] for m in page["messages"]}
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert set(accepted.values()) <= stored
        for key, message_id in list(accepted.items())[:20]:
            body = {"to": "delta", "body": key + BODY}
            again = hub.client("n2").post("/api/send", body, Idempotency_Key=key)
            assert again.body["id"] == message_id


def test_the_disk_may_stay_full_over_many_sends_without_a_flood_of_log_lines(
    small_disk: Path,
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(7_000_000))
    with hub_on(small_disk) as hub, no_checkpoints(hub.folder):
        log = hub.folder / "log"
        fill(hub)
        refused = [
            hub.client("n2").post("/api/send", {"to": "delta", "body": BODY}).status
            for _ in range(100)
        ]
        assert refused == [507] * 100
        assert len(log.read_text().splitlines()) < 30


@pytest.mark.parametrize("free_kib", range(310, 330, 4))
def test_the_wals_index_never_lacks_room_in_the_middle_of_a_commit(
    tmp_path: Path, free_kib: int
) -> None:
    """A reader keeps the WAL from being reset, so its index would grow past 4,062 pages."""
    with disk_of(30, tmp_path / "disk") as place, opened(place) as store:
        enrolled(store)
        path = str(place / "bus.db")
        reader = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM message").fetchall()
        while store.counts()["wal_bytes"] < 4000 * 4120:
            store.send(draft(body=BODY), depth_limit=50)
        disk = os.statvfs(place)
        ballast = place / "ballast"
        ballast.write_bytes(b"\0" * (disk.f_bavail * disk.f_frsize - free_kib * 1024))

        def send_many() -> None:
            for _ in range(200):
                store.send(draft(body=BODY[:3000]), depth_limit=50)

        with pytest.raises(errors.DiskFullError):
            send_many()
        reader.close()
        ballast.unlink()
        store.send(draft(body="later"), depth_limit=50)


def test_a_backup_without_room_is_refused_before_it_takes_what_senders_need(
    small_disk: Path,
) -> None:
    with hub_on(small_disk) as hub:
        for number in range(200):
            hub.client("n2").send(f"{number}{BODY}", to="delta")
        refused = hub.client(None).post("/api/admin/backup", None)
        assert (refused.status, refused.body["code"]) == (507, "disk_full")
        assert "A backup needs " in refused.body["detail"]
        assert "MB free" in refused.body["detail"]
        assert list((small_disk / "backups").iterdir()) == []
        assert hub.client("n2").send("there is room", to="delta")


def test_events_for_webhooks_wait_for_room(small_disk: Path, tmp_path: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 4_000_000)
    with receiving() as receiver:
        file = configured(tmp_path, receiver, body=False)
        with hub_on(small_disk, webhooks_file=file) as hub, no_checkpoints(small_disk):
            accepted: dict[str, str] = {}
            send_until_full(hub, accepted, threading.Lock(), "n2")
            ballast.unlink()
            got = receiver.wait_for(len(accepted))
        assert not receiver.faults
    assert {one.content["data"]["id"] for one in got} >= set(accepted.values())
