"""The writer on PostgreSQL: batches, bad neighbours, lost connections and commits of unknown fate.

A commit that waits for a standby which is not there is a real one, on a server of its own.
"""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
import pytest

from agent_bus.core import errors, states
from agent_bus.core.clock import SystemClock
from agent_bus.core.model import AgentName, Seq, Stamp
from agent_bus.store.postgres.link import connections, primary
from agent_bus.store.postgres.link.address import Address
from agent_bus.store.postgres.postgres_store import PostgresStore
from agent_bus.store.postgres.write.transaction import Command
from agent_bus.store.postgres.write.writer import parts
from tests.support import guard, postgres
from tests.support.patience import patience, wait_until
from tests.support.store import ALPHA, BETA, GAMMA, Told, draft, enrolled, inbox, opened_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

until = functools.partial(wait_until, pause=gevent.sleep)
FILES = Path(__file__).resolve().parents[4] / "files"
WAITING = "wait_event = 'SyncRep'"


def at_once(store: PostgresStore, drafts: list[Any]) -> list[Any]:
    """Send all at once; each one's result or error, in their order."""

    def send(one: Any) -> object:
        try:
            return store.send(one, depth_limit=50)
        except errors.BusError as error:
            return error

    jobs = [gevent.spawn(send, one) for one in drafts]
    gevent.joinall(jobs, timeout=patience())
    assert all(job.ready() for job in jobs), "a sender was never answered"
    return [job.value for job in jobs]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PostgresStore]:
    with opened_postgres(tmp_path) as one:
        yield enrolled(one)


def test_what_waits_is_committed_together_and_seqs_have_no_gap(store: PostgresStore) -> None:
    before = store.counts()
    sent = at_once(store, [draft(body=str(n), recipients=(BETA, GAMMA)) for n in range(100)])
    after = store.counts()
    assert after["commands"] - before["commands"] == 100
    assert after["commits"] - before["commits"] < 60
    assert [d.seq for one in sent for d in one.deliveries] == list(range(1, 201))


def test_messages_to_many_are_parted_into_bounded_transactions(store: PostgresStore) -> None:
    everybody = tuple(AgentName(f"agent-{n}") for n in range(900))
    before = store.counts()["head"]
    found = at_once(store, [draft(recipients=everybody) for _ in range(6)])
    assert [one.deliveries[-1].seq - before for one in found] == [900 * n for n in range(1, 7)]
    sizes = [
        len(part)
        for part in parts([Command(work, None, None) for work in [[1] * 1500, [1] * 600, [1]]])
    ]
    assert sizes == [1, 2]


def test_a_bad_command_hurts_no_neighbour(store: PostgresStore) -> None:
    nul = draft(body="not \0 text")
    lost = draft(body="reply to nothing", reply_to="0" * 26)
    found = at_once(store, [draft(body="1"), nul, draft(body="2"), lost, draft(body="3")])
    assert isinstance(found[3], errors.UnknownMessageError)
    assert inbox(store, "beta") == ["1", "2", "3"]
    assert store.head() == 3


def test_one_key_in_one_batch_is_one_message(store: PostgresStore) -> None:
    keyed = draft(idempotency_key="k", payload_sha256=b"1")
    other = draft(idempotency_key="k", payload_sha256=b"2")
    found = at_once(store, [keyed, keyed, other, keyed])
    assert [getattr(one, "replayed", None) for one in found] == [False, True, None, True]
    assert isinstance(found[2], errors.IdempotencyConflictError)
    assert found[2].extra == {"message_id": found[0].message.id}
    assert inbox(store, "beta") == ["hello"]


def test_acks_and_fetches_of_one_batch_count_once(store: PostgresStore) -> None:
    ids = [store.send(draft(), depth_limit=2).message.id for _ in range(3)]
    jobs: list[Any] = [
        gevent.spawn(store.fetch, BETA, [Seq(1), Seq(2)]),
        gevent.spawn(store.ack_ids, BETA, ids[:2]),
        gevent.spawn(store.ack_ids, BETA, ids[1:]),
        gevent.spawn(store.fetch, BETA, [Seq(2), Seq(3)]),
    ]
    gevent.joinall(jobs, timeout=patience())
    assert jobs[1].value.acked == (ids[0], ids[1])
    assert (jobs[2].value.acked, jobs[2].value.already_acked) == ((ids[2],), (ids[1],))
    assert jobs[0].value.before == {1: (None, 0), 2: (None, 0)}
    assert jobs[3].value.before[2][1] == 1
    box = {one.agent: one for one in store.mailboxes()}[BETA]
    assert (box.unread, box.unfetched) == (0, 0)


def test_what_a_batch_did_is_kept_for_other_hubs(store: PostgresStore, tmp_path: Path) -> None:
    sent = store.send(draft(expires_in_s=60), depth_limit=2)
    store.ack_ids(BETA, [sent.message.id])
    with contextlib.closing(connected(tmp_path)) as connection:
        found = connection.execute("SELECT pos, hub, facts FROM change ORDER BY pos").fetchall()
    assert [pos for pos, _, _ in found] == list(range(found[0][0], found[0][0] + len(found)))
    assert {hub for _, hub, _ in found} == {store.name}
    told = [fact for _, _, facts in found for fact in json.loads(facts)]
    kinds = [fact for fact in told if fact[0] in {"sent", "acked", "roster"}]
    expires_at = sent.message.expires_at
    assert kinds == [["roster"], ["sent", 1, ["beta"], expires_at], ["acked", "beta", [1]]]


def connected(folder: Path) -> Any:
    import psycopg

    return psycopg.connect(postgres.database(folder), autocommit=True)


def test_a_lost_connection_is_opened_anew(store: PostgresStore, tmp_path: Path) -> None:
    with contextlib.closing(connected(tmp_path)) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert store.send(draft(), depth_limit=2).deliveries[0].seq == 1
    assert inbox(store, "beta") == ["hello"]
    assert store.writing() == "ok"


def test_stamps_wait_for_a_primary(store: PostgresStore, tmp_path: Path) -> None:
    (sent,) = store.send(draft(), depth_limit=50).deliveries

    def pushed_at() -> int | None:
        found = store.message(sent.message.id)
        assert found is not None
        return found[1][0].pushed_at

    with postgres.read_only(postgres.database(tmp_path)):
        until(lambda: at_once(store, [draft()])[0].code == "no_primary", "sends are refused")
        store.stamp([Stamp(states.PUSHED, BETA, sent.seq, 1234)])
        assert at_once(store, [draft()])[0].code == "no_primary"  # after the stamp
    until(lambda: not isinstance(at_once(store, [draft()])[0], Exception), "sends are taken")
    until(lambda: pushed_at() == 1234, "the stamp is stored")


def test_a_takeover_skips_seqs_and_stops_who_does_not_know_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened_postgres(tmp_path) as former:
        enrolled(former).send(draft(body="1"), depth_limit=2)
        monkeypatch.setattr(connections, "TIMELINE", "SELECT 2")
        with opened_postgres(tmp_path) as later:
            sent = later.send(draft(body="2"), depth_limit=2)
            assert sent.deliveries[0].seq == 2 + primary.SEQS_SKIPPED
        assert former.send(draft(body="3"), depth_limit=2).deliveries[0].seq == 3 + 1_000_000
        monkeypatch.setattr(connections, "TIMELINE", "SELECT 1")
        former._link.lose(errors.NoPrimaryError())
        monkeypatch.setattr(former._writer, "_patience_s", 0.0)
        with pytest.raises(errors.NoPrimaryError):  # a deposed primary
            former.send(draft(body="4"), depth_limit=2)
        assert "was primary before" in former.writing()


def test_readers_follow_the_writer_to_another_primary(store: PostgresStore) -> None:
    found = {store._readers.run(pid) for _ in range(4)}
    assert len(found) == 1
    store._link.lose(errors.NoPrimaryError())
    store.send(draft(), depth_limit=2)
    assert store._readers.run(pid) not in found
    assert inbox(store, "beta") == ["hello"]


def pid(connection: Any) -> int:
    return int(connection.execute("SELECT pg_backend_pid()").fetchone()[0])


@dataclass
class Quorum:
    """A server whose commits can be made to wait, and a store on it."""

    server: postgres.Server
    store: PostgresStore
    told: Told

    def require(self, standby: str) -> None:
        """Let commits wait for a standby of this name; an empty one ends that."""
        with contextlib.closing(self.server.connect()) as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
            connection.execute("SELECT pg_reload_conf()")
        with contextlib.closing(self.server.connect()) as connection:
            until(
                lambda: (
                    connection.execute("SHOW synchronous_standby_names").fetchone()[0] == standby
                ),
                "the setting is read",
            )
            # Commits go by what the checkpointer makes of it, which may be later. It reads its
            # settings ahead of each checkpoint; the second one begins after it heard of them.
            connection.execute("CHECKPOINT")
            connection.execute("CHECKPOINT")

    def waiting(self) -> int:
        """How many commits wait for a standby."""
        with contextlib.closing(self.server.connect()) as connection:
            found = connection.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {WAITING}")
            return int(found.fetchone()[0])

    def end_waiting(self, how: str) -> None:
        """Cancel or terminate the sessions whose commit waits."""
        with contextlib.closing(self.server.connect()) as connection:
            connection.execute(f"SELECT {how}(pid) FROM pg_stat_activity WHERE {WAITING}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    """A server that knows standbys."""
    one = postgres.Server(postgres.TEMPORARY / f"agent-bus-writer-{guard.mark()}")
    one.start()
    one.kill()
    with (one.folder / "data" / "postgresql.conf").open("a", encoding="ascii") as file:
        file.write("wal_level = replica\nmax_wal_senders = 2\n")
    one.start()
    yield one
    one.kill()


@pytest.fixture
def quorum(server: postgres.Server, request: pytest.FixtureRequest) -> Iterator[Quorum]:
    with contextlib.closing(server.connect()) as connection:
        name = f"t{abs(hash(request.node.name))}"
        connection.execute(f"CREATE DATABASE {name}")
    told = Told()
    store = PostgresStore(
        Address(server.url(name)), clock=SystemClock(), readers=1, commit_timeout_s=0.5
    )
    store.listen(told)
    store._writer._patience_s = patience()
    one = Quorum(server, enrolled(store), told)
    try:
        yield one
    finally:
        one.require("")
        store.close()


def test_a_commit_that_is_confirmed_late_is_answered_once(quorum: Quorum) -> None:
    quorum.require("nobody")
    job = gevent.spawn(quorum.store.send, draft(body="late"), depth_limit=2)
    until(lambda: quorum.store.writing() != "ok", "the hub has given the connection up")
    assert quorum.waiting() == 1
    quorum.require("")
    sent = job.get(timeout=patience())
    assert (sent.deliveries[0].seq, sent.mailboxes[0].unread) == (1, 1)
    assert inbox(quorum.store, "beta") == ["late"]
    assert [one.message.body for one in quorum.told.sent] == ["late"]


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_commit_that_was_cut_short_is_not_taken_for_done(quorum: Quorum, how: str) -> None:
    quorum.require("nobody")
    job = gevent.spawn(quorum.store.send, draft(body="cut"), depth_limit=2)
    until(lambda: quorum.waiting() == 1, "the commit waits")
    quorum.end_waiting(how)
    until(lambda: quorum.store.writing() != "ok", "the hub knows of it")
    assert not job.ready()
    quorum.require("")
    assert job.get(timeout=patience()).deliveries[0].seq == 1
    assert inbox(quorum.store, "beta") == ["cut"]


def test_without_a_quorum_callers_are_refused_and_nothing_is_lost(
    quorum: Quorum, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quorum.store._writer, "_patience_s", 0.6)
    quorum.require("nobody")
    with pytest.raises(errors.CommitUnknownError):
        quorum.store.send(draft(body="1"), depth_limit=2)
    with pytest.raises(errors.NoPrimaryError):
        quorum.store.send(draft(body="2"), depth_limit=2)
    quorum.require("")
    monkeypatch.setattr(quorum.store._writer, "_patience_s", patience())
    again = [quorum.store.send(draft(body=body, sender=ALPHA), depth_limit=2) for body in "34"]
    assert [one.deliveries[0].seq for one in again] == [2, 3]
    assert inbox(quorum.store, "beta") == ["1", "3", "4"]


def test_a_server_that_comes_back_is_written_to_again(quorum: Quorum) -> None:
    quorum.store.send(draft(body="1"), depth_limit=2)
    quorum.server.kill()
    job = gevent.spawn(quorum.store.send, draft(body="2"), depth_limit=2)
    until(lambda: quorum.store.writing() != "ok", "the hub has noticed it")
    quorum.server.start()
    assert job.get(timeout=patience()).deliveries[0].seq == 2
    assert inbox(quorum.store, "beta") == ["1", "2"]


def test_a_hub_on_sqlite_imports_no_psycopg() -> None:
    code = "import agent_bus.app.hub, sys; sys.exit('psycopg' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(FILES)})
