"""A bus moves from its SQLite file to PostgreSQL: all of it or nothing, and over no other bus."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from agent_bus.core import errors
from agent_bus.store.postgres import move
from agent_bus.store.postgres.link.address import Address
from tests.support import postgres
from tests.support.clock import FakeClock
from tests.support.store import draft, enrolled, inbox, opened, opened_postgres

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def address(tmp_path: Path) -> Address:
    return Address(postgres.database(tmp_path))


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """Return the file of a hub that was stopped, with three messages."""
    with opened(tmp_path) as store:
        enrolled(store)
        for number in range(3):
            store.send(draft(body=f"b{number}"), depth_limit=2)
    return tmp_path / "bus.db"


@pytest.fixture
def move_it(tmp_path: Path, stopped: Path, address: Address) -> Callable[..., move.Moved]:
    def run(*, replace: bool = False) -> move.Moved:
        target = tmp_path / f"kept-{secrets.token_hex(4)}.db"
        return move.move(stopped, target, address, replace=replace, now=FakeClock().now_ms())

    return run


def query(address: Address, sql: str) -> Any:
    name = address.url.partition("?")[0].rpartition("/")[2]
    with postgres.shared().connect(name) as connection:
        found = connection.execute(sql)
        return found.fetchone()[0] if found.description else None


def test_all_of_it_is_there_and_the_history_goes_on(
    tmp_path: Path, address: Address, move_it: Callable[..., move.Moved]
) -> None:
    moved = move_it()
    assert (moved.compared.counts["message"], moved.compared.seq) == (3, 3)
    with opened_postgres(tmp_path) as store:
        assert store.epoch == moved.kept.epoch
        assert inbox(store, "beta") == ["b0", "b1", "b2"]
        assert store.send(draft(), depth_limit=2).deliveries[0].seq == moved.compared.seq + 1


def test_a_move_that_was_cut_off_is_repeated_with_what_came_meanwhile(
    tmp_path: Path, move_it: Callable[..., move.Moved]
) -> None:
    move_it()
    with opened(tmp_path) as store:
        store.send(draft(body="later"), depth_limit=2)
    assert (move_it().compared.counts["message"], move_it().compared.seq) == (4, 4)


def test_another_bus_is_not_replaced_unless_that_is_said(
    address: Address, move_it: Callable[..., move.Moved]
) -> None:
    move_it()
    query(address, "UPDATE meta SET value = 'other' WHERE key = 'epoch'")
    with pytest.raises(errors.StartupError, match="messages of another bus"):
        move_it()
    assert query(address, "SELECT value FROM meta WHERE key = 'epoch'") == "other"
    assert move_it(replace=True).compared.counts["message"] == 3


def test_newer_messages_of_the_same_bus_are_not_replaced(
    address: Address, move_it: Callable[..., move.Moved]
) -> None:
    move_it()
    query(address, "UPDATE head SET seq = 4")
    with pytest.raises(errors.StartupError, match="the bus has gone on there"):
        move_it()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE message SET body = 'x' WHERE pk = 2", "message"),
        ("DELETE FROM delivery WHERE seq = 3", "delivery"),
        ("UPDATE mailbox SET last_seq = 9 WHERE agent = 'beta'", "mailbox"),
        ("DELETE FROM node_token", "node_token"),
        ("UPDATE head SET seq = 9", "seq"),
        ("UPDATE meta SET value = 'x' WHERE key = 'epoch'", "epoch"),
    ],
)
def test_each_difference_is_found(
    address: Address, move_it: Callable[..., move.Moved], change: str, what: str
) -> None:
    moved = move_it()
    query(address, change)
    with pytest.raises(errors.StartupError, match=rf"\b{what}\b.* differ"):
        move.compare(moved.kept.path, address)


def test_a_damaged_file_changes_nothing(
    tmp_path: Path, stopped: Path, address: Address, move_it: Callable[..., move.Moved]
) -> None:
    connection = apsw.Connection(str(stopped))
    ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'message'")
    ((size,),) = connection.execute("PRAGMA page_size")
    connection.close()
    with stopped.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(errors.BackupFailedError):
        move_it()
    assert not query(address, "SELECT count(*) FROM message")
    assert not list(tmp_path.glob("kept-*"))
