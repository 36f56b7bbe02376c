"""The power goes at any moment: what was answered is on the disk, and the file is sound."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import apsw
import gevent

from tests.support.power import ForgetfulDisk, forgetful_disk
from tests.support.store import draft, enrolled, opened

if TYPE_CHECKING:
    from pathlib import Path

    from agent_bus.store.sqlite.sqlite_store import SqliteStore

CUTS = 60
SENDERS = 8


def send_forever(store: SqliteStore, number: int, answered: list[str]) -> None:
    count = 0
    while True:
        body = f"{number}-{count} ".ljust(300, "x")
        store.send(draft("beta" if count % 3 else "gamma", body), depth_limit=50)
        answered.append(body)
        count += 1


def found_in(folder: Path) -> tuple[set[str], int, int]:
    """(bodies, messages without a delivery, counters off) of a file as the power cut left it."""
    connection = apsw.Connection(str(folder / "bus.db"), vfs="unix")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    bodies = {body for (body,) in connection.execute("SELECT body FROM message")}
    torn = list(
        connection.execute(
            "SELECT count(*) FROM message WHERE pk NOT IN (SELECT message_pk FROM delivery)"
        )
    )
    off = list(
        connection.execute(
            "SELECT count(*) FROM mailbox b WHERE unread <>"
            " (SELECT count(*) FROM delivery d WHERE d.agent = b.agent AND d.read_at IS NULL)"
        )
    )
    connection.close()
    return bodies, int(torn[0][0]), int(off[0][0])


def test_nothing_answered_is_lost_whenever_the_power_goes(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with forgetful_disk() as disk, opened(tmp_path) as store:
        enrolled(store)
        answered: list[str] = []
        senders = [gevent.spawn(send_forever, store, n, answered) for n in range(SENDERS)]
        for cut in range(CUTS):
            enough = len(answered) + dice.randrange(1, 40)
            while len(answered) < enough:
                gevent.sleep(dice.uniform(0, 0.002))
            promised = set(answered)
            disk.cut(tmp_path / f"cut{cut}", dice)
            bodies, torn, off = found_in(tmp_path / f"cut{cut}")
            assert promised <= bodies
            assert (torn, off) == (0, 0)
        gevent.killall(senders)


def test_the_disk_does_forget_what_is_not_synced(tmp_path: Path) -> None:
    """Without the store's pragmas the same cut loses an answered row: the shim is no stub."""
    with forgetful_disk() as disk:
        connection = apsw.Connection(str(tmp_path / "plain.db"))
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = NORMAL",
            "CREATE TABLE t (a)",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "INSERT INTO t VALUES (1)",
        ):
            connection.execute(statement).fetchall()
        _cut_until_lost(disk, tmp_path)
        connection.close()


def _cut_until_lost(disk: ForgetfulDisk, folder: Path) -> None:
    for attempt in range(50):
        disk.cut(folder / f"cut{attempt}", random.Random(attempt))
        found = apsw.Connection(str(folder / f"cut{attempt}" / "plain.db"), vfs="unix")
        rows = list(found.execute("SELECT a FROM t"))
        found.close()
        if not rows:
            return
    raise AssertionError("no cut lost the row that was never synced")
