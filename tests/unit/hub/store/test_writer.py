"""The one writer: group commit, and what callers are told when the disk fails."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import apsw
import gevent

from agent_bus.core import errors
from agent_bus.core.model import AgentName
from agent_bus.store.sqlite.write import writer
from tests.support.faults import faulty_disk
from tests.support.patience import patience, wait_until
from tests.support.store import Told, draft, enrolled, inbox, opened

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from agent_bus.store.sqlite.sqlite_store import SqliteStore


def at_once(store: SqliteStore, bodies: list[str], **more: Any) -> list[Any]:
    """Send all at once; each one's result or error, in the order of `bodies`."""

    def send(body: str) -> object:
        try:
            return store.send(draft(body=body, **more), depth_limit=50)
        except (errors.BusError, apsw.Error) as error:
            return error

    jobs = [gevent.spawn(send, body) for body in bodies]
    gevent.joinall(jobs, timeout=patience())
    assert all(job.ready() for job in jobs), "a sender was never answered"
    return [job.value for job in jobs]


def test_what_waits_is_committed_together(store: SqliteStore) -> None:
    before = store.counts()
    at_once(store, [str(n) for n in range(200)])
    after = store.counts()
    assert after["commands"] - before["commands"] == 200
    assert after["commits"] - before["commits"] < 100
    assert inbox(store, "beta", limit=500) == [str(n) for n in range(200)]


def test_a_bad_command_fails_alone(store: SqliteStore) -> None:
    lost = draft(body="reply to nothing", reply_to="0" * 26)
    jobs = [gevent.spawn(store.send, draft(body="good"), depth_limit=50) for _ in range(5)]
    bad = gevent.spawn(store.send, lost, depth_limit=50)
    gevent.joinall([*jobs, bad], timeout=patience())
    assert isinstance(bad.exception, errors.UnknownMessageError)
    assert inbox(store, "beta") == ["good"] * 5


def test_a_full_disk_answers_everyone_and_nothing_is_stored(tmp_path: Path) -> None:
    with faulty_disk() as disk, opened(tmp_path) as store:
        enrolled(store)
        disk.writes = itertools.repeat(apsw.FullError("no space left"))
        found = at_once(store, [str(n) for n in range(20)])
        assert {type(f) for f in found} == {errors.DiskFullError}
        assert inbox(store, "beta") == []
        disk.writes = iter(())
        at_once(store, ["again"])
        assert inbox(store, "beta") == ["again"]


def test_a_failing_sync_answers_commit_unknown_and_then_ends_the_process(tmp_path: Path) -> None:
    ended = threading.Event()
    with faulty_disk() as disk, opened(tmp_path, fatal=ended.set) as store:
        enrolled(store)
        disk.syncs = iter([apsw.IOError("the disk is gone")])
        found = at_once(store, [str(n) for n in range(5)])
        assert {type(f) for f in found} == {errors.CommitUnknownError}
        assert not ended.is_set()  # the callers hear of it first
        later = at_once(store, ["later"])
        assert {type(f) for f in later} == {errors.CommitUnknownError}
        wait_until(ended.is_set, "the process is ended", pause=gevent.sleep)


def test_a_failing_sync_while_the_disk_is_full_leaves_nobody_waiting(tmp_path: Path) -> None:
    ended = threading.Event()
    with faulty_disk() as disk, opened(tmp_path, fatal=ended.set) as store:
        enrolled(store)
        disk.writes = iter([apsw.FullError("no space left")])
        disk.syncs = iter([apsw.IOError("the disk is gone")])
        found = at_once(store, ["a", "b"])
        assert {type(f) for f in found} == {errors.CommitUnknownError}
        wait_until(ended.is_set, "the process is ended", pause=gevent.sleep)


def test_a_listener_that_fails_keeps_nobody_from_an_answer(tmp_path: Path) -> None:
    class Broken(Told):
        def on_sent(self, sent: Any) -> None:
            if sent.message.body == "poison":
                raise ValueError("boom")
            super().on_sent(sent)

    told = Broken()
    with opened(tmp_path, listener=told) as store:
        enrolled(store)
        found = at_once(store, ["a", "poison", "b"])
        assert [f.message.body for f in found] == ["a", "poison", "b"]
        assert [s.message.body for s in told.sent] == ["a", "b"]


def test_a_lazy_write_that_fails_is_dropped_alone(store: SqliteStore) -> None:
    store.touch_agents({AgentName("alpha"): 1 << 70})  # SQLite has no such integer
    store.send(draft(body="goes on"), depth_limit=50)
    assert inbox(store, "beta") == ["goes on"]


def test_the_wal_is_reset_while_readers_never_stop(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_IDLE_PAGES", 50)
    monkeypatch.setattr(writer, "CHECKPOINT_BUSY_PAGES", 200)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            inbox(store, "beta", limit=5)

    readers = [gevent.spawn(read) for _ in range(4)]
    sizes = []
    for _ in range(40):
        at_once(store, ["x" * 20_000] * 20)
        sizes.append(store.counts()["wal_bytes"])
    stop.set()
    gevent.joinall(readers, timeout=patience())
    assert max(sizes) < 8_000_000  # 16 MB were written; without a reset all would be in there


def test_sends_of_one_commit_are_stored_together_and_counted_once(tmp_path: Path) -> None:
    told = Told()
    with opened(tmp_path, listener=told) as store:
        enrolled(store)
        recipients = (AgentName("beta"), AgentName("gamma"))
        sent = at_once(store, [str(n) for n in range(150)], recipients=recipients)
        seqs = [d.seq for one in sent for d in one.deliveries]
        assert seqs == list(range(seqs[0], seqs[0] + 300))
        assert [one.message.body for one in told.sent] == [str(n) for n in range(150)]
        assert len(told.mailboxes) < 300
        boxes = {box.agent: box for box in store.mailboxes()}
        assert (boxes[recipients[0]].unread, boxes[recipients[1]].unfetched) == (150, 150)
        assert {box.agent: box for box in told.mailboxes} == {
            agent: boxes[agent] for agent in recipients
        }
        for one in sent:
            found = store.message(one.message.id)
            assert found is not None
            assert found[0] == one.message
            assert tuple(found[1]) == one.deliveries


def test_sends_that_cannot_be_stored_together_fail_alone(store: SqliteStore) -> None:
    bodies = [draft(body="good") for _ in range(4)] + [draft(body="bad", rank=1 << 70)]
    jobs = [gevent.spawn(store.send, one, depth_limit=50) for one in bodies]
    gevent.joinall(jobs, timeout=patience())
    assert [job.exception is None for job in jobs] == [True] * 4 + [False]
    assert inbox(store, "beta") == ["good"] * 4
