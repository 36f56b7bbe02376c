"""Which backups stay, whatever the clock says and wherever the hub was cut off."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from agent_bus.operate.backups import Backups
from agent_bus.store.sqlite.file import backup
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    with opened(tmp_path):
        yield tmp_path / "bus.db"


def backups_of(database: Path, clock: FakeClock) -> Backups:
    write = functools.partial(backup.write, database)
    return Backups(database.with_name("backups"), write=write, keep=3, clock=clock)


def names(database: Path) -> set[str]:
    return {path.name for path in database.with_name("backups").iterdir()}


def made(backups: Backups, clock: FakeClock, count: int) -> list[str]:
    """The names of backups made a day apart."""
    found = []
    for _ in range(count):
        clock.advance(DAY_S)
        found.append(backups.make().path.name)
    return found


@pytest.mark.parametrize("days", [-30, 30])
def test_the_newest_stay_though_the_clock_was_set(database: Path, days: int) -> None:
    clock = FakeClock()
    backups = backups_of(database, clock)
    before = made(backups, clock, 4)
    assert names(database) == set(before[1:])
    clock.jump(days * DAY_S)
    after = made(backups, clock, 2)
    assert names(database) == {before[3], *after}
    after += made(backups, clock, 2)
    assert names(database) == set(after[1:])


def test_what_a_backup_left_that_was_broken_off_goes_with_the_next_one(database: Path) -> None:
    folder = database.with_name("backups")
    folder.mkdir()
    for name in (".bus-20260101T000000000Z.db.part", ".bus-20260101T000000000Z.db.part-journal"):
        (folder / name).write_bytes(b"half")
    made = backups_of(database, FakeClock()).make()
    assert names(database) == {made.path.name}


def test_a_prepared_backup_is_put_in_place_by_renaming(database: Path, tmp_path: Path) -> None:
    made = backups_of(database, FakeClock()).make()
    taken = database.with_name("to-restore.db")
    made.path.rename(taken)
    epoch = backup.prepare(taken, database, take=True)
    assert epoch != made.epoch
    assert not taken.exists(), "it was renamed, not copied"
    restored = backup.put_in_place(database, stamp="20260101T000000Z")
    assert restored.epoch == epoch == backup.verify(database).epoch
    assert restored.aside
    assert restored.aside.exists()
    with pytest.raises(backup.DamagedError, match="nothing was prepared"):
        backup.put_in_place(database, stamp="20260101T000001Z")
