"""One format for what is stored: from SQLite to PostgreSQL and back, nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from agent_bus.core import errors
from agent_bus.core.guards.pauses import Pause
from agent_bus.core.guards.question import Asking
from agent_bus.core.guards.wakes import Wake
from agent_bus.core.model import AgentName, AuditEntry, Session
from agent_bus.core.slices import SweepBounds
from agent_bus.core.task import Step
from agent_bus.store.guards.storms import HeldDelivery, KeptStorm
from agent_bus.store.outgoing import Settled
from agent_bus.store.postgres import transfer
from agent_bus.store.postgres.link.address import Address
from agent_bus.store.sqlite.file import backup
from tests.support import postgres
from tests.support.clock import FakeClock
from tests.support.store import (
    ALPHA,
    BETA,
    GAMMA,
    ROSTER,
    draft,
    enrolled,
    inbox,
    opened,
    opened_postgres,
)

if TYPE_CHECKING:
    from pathlib import Path

    from agent_bus.store.contract import Backend


DAY_MS = 24 * 3600 * 1000
BOUNDS = SweepBounds(retain_read_ms=7 * DAY_MS, retain_archive_ms=365 * DAY_MS, limit=100)


def filled(store: Backend, clock: FakeClock) -> None:
    """Something in every table."""
    own: dict[AgentName, tuple[str, ...]] = {ALPHA: ("6" * 64,)}
    enrolled(store, replace(ROSTER, policies={"rights": "[]"}, agent_tokens=own))
    store.outgoing.adopt(["ops"])
    store.outgoing.note(["read"])
    for number in range(3):
        sent = store.send(draft(body=f"\u00fc{number}"), depth_limit=2)
    store.send(draft("gamma", subject="s", data_json='{"k": "\\u0000"}'), depth_limit=2)
    store.outgoing.feed(lambda _kind, _agent: ["ops"], limit=2)
    (event,) = store.outgoing.exchange("ops", (), None, take=1).events
    store.outgoing.exchange("ops", [Settled(event.pk, event.queued_at, told_at=1)], None, take=0)
    store.ack_ids(BETA, [sent.message.id])
    clock.advance(8 * 24 * 3600)
    store.sweep(BOUNDS)
    keyed = draft("gamma", idempotency_key="k", payload_sha256=b"\0\xff")
    store.send(keyed, depth_limit=2)
    asked = draft("gamma", idempotency_key="a", payload_sha256=b"")
    task = store.send(asked, depth_limit=2, step=Step("open", None, "m1", "ctx-ü"))
    wondering = draft("gamma", rank=0)
    question_id = store.send(wondering, depth_limit=2, step=Asking(("ja", "nö"))).message.id
    question = store.pending.question(question_id)
    assert question is not None
    store.pending.keep_link("3" * 64, question, expires_at=clock.steady_ms())
    climbers = store.pending.urgent_unread([GAMMA])
    store.pending.begin(climbers)
    store.pending.claim("k", "@greeks", climbers)
    store.wake_book.put_pause(Pause("fleet", "", "paused", clock.now_ms()))
    store.wake_book.note([Wake(BETA, sent.deliveries[0].seq, clock.now_ms(), "wake")])
    store.storms.keep(KeptStorm("alpha,beta", "turns", (ALPHA, BETA), since_at=1, held_at=2))
    store.storms.note([HeldDelivery(task.deliveries[0].seq, GAMMA, "alpha,beta", 3)], (), at=3)
    store.records.keep_session(Session("1", "2", clock.steady_ms() + 1000))
    store.records.log(AuditEntry(1, "::1", "api", "wake", ALPHA, {"k": "v"}, "done"))


def rows(file: Path) -> dict[str, list[Any]]:
    """All rows of a file, and the newest seq."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {
            table: sorted(connection.execute(f"SELECT {columns} FROM {table}"), key=repr)
            for table, columns in {**transfer.TABLES, "sqlite_sequence": "name, seq"}.items()
        }
    finally:
        connection.close()


def test_a_file_goes_into_postgresql_and_comes_out_the_same(tmp_path: Path) -> None:
    clock = FakeClock()
    with opened(tmp_path, clock=clock) as store:
        filled(store, clock)
        made = store.write_backup(tmp_path / "sqlite.db")
    assert all(found for found in rows(made.path).values())
    backup.prepare(made.path, tmp_path / "staged")
    address = Address(postgres.database(tmp_path))
    staged = backup.prepared(tmp_path / "staged")
    transfer.load(staged, address, epoch=made.epoch, now=clock.now_ms())
    with opened_postgres(tmp_path, clock=clock) as other:
        assert other.epoch == made.epoch
        back = other.write_backup(tmp_path / "postgres.db")
        assert rows(back.path) == rows(made.path)
        assert (back.epoch, back.schema_version) == (made.epoch, made.schema_version)
        assert inbox(other, "beta") == ["\u00fc0", "\u00fc1"]
        assert other.send(draft(), depth_limit=2).deliveries[0].seq == 8
        other.records.log(AuditEntry(2, "::1", "api", "mute", ALPHA, {}, "done"))
        assert [entry.at for entry in other.records.audit(limit=9)] == [2, 1]
        assert other.outgoing.feed(lambda _kind, _agent: ["ops"], limit=9).added == {"ops": 5}
    again = tmp_path / "again"
    again.mkdir()
    back.path.rename(again / "bus.db")
    with opened(again, clock=clock) as third:
        assert inbox(third, "gamma") == ["hello"] * 4


def test_nothing_is_replaced_while_a_hub_runs(tmp_path: Path) -> None:
    clock = FakeClock()
    with opened(tmp_path, clock=clock) as store:
        made = store.write_backup(tmp_path / "sqlite.db")
    address = Address(postgres.database(tmp_path))
    with postgres.shared().connect(address.url.partition("?")[0].rpartition("/")[2]) as connection:
        connection.execute(
            "INSERT INTO hub (name, process, version, seen_at) VALUES ('one', 'p', '1', %s)",
            (clock.now_ms(),),
        )
    with pytest.raises(errors.StartupError, match="one was seen"):
        transfer.load(made.path, address, epoch="e", now=clock.now_ms())


def test_a_backup_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with opened_postgres(tmp_path) as store, pytest.raises(errors.BackupFailedError):
        store.write_backup(tmp_path / "nowhere" / "backup.db")
