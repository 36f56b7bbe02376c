"""Two years of the reference fleet's traffic, a seventieth of it: file and WAL reach a plateau."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
import pytest

from agent_bus.core.model import AgentName, Draft, NodeName, Roster
from agent_bus.core.slices import SweepBounds
from agent_bus.store.sqlite.write import writer
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENTS = tuple(AgentName(f"agent-{n}") for n in range(19))
FLEET = Roster(agents={name: NodeName(f"node-{n % 9}") for n, name in enumerate(AGENTS)})
MESSAGES_A_DAY = 14
"""Of the 1,000 that 19 agents may well send; the rest would only make the test longer."""
DAYS = 730
DAY_MS = int(DAY_S * 1000)
BOUNDS = SweepBounds(retain_read_ms=7 * DAY_MS, retain_archive_ms=365 * DAY_MS, limit=200)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder without a disk below it: two years of syncing are not what is measured."""
    place = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=place if place.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


def message(dice: random.Random) -> Draft:
    """One in twenty is a broadcast, one in ten expires, some are never read (see `one_day`)."""
    sender = dice.choice(AGENTS)
    others = [name for name in AGENTS if name != sender]
    to = tuple(others) if dice.random() < 0.05 else (dice.choice(others),)
    return Draft(
        sender=sender,
        recipients=to,
        body="x" * min(16_000, int(dice.expovariate(1 / 1200)) + 1),
        expires_in_s=3600 if dice.random() < 0.1 else None,
        idempotency_key=f"{dice.random()}",
        payload_sha256=b"0" * 32,
    )


def test_database_and_wal_reach_a_plateau(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Scaled like the traffic. Whether the writer finds an idle moment is up to the machine, so the
    # bound that holds without one is scaled, too.
    monkeypatch.setattr(writer, "CHECKPOINT_IDLE_PAGES", 100)
    monkeypatch.setattr(writer, "CHECKPOINT_BUSY_PAGES", 200)
    dice = random.Random(7)
    clock = FakeClock()
    sizes: list[tuple[int, int]] = []
    with opened(memory, clock=clock) as store:
        store.put_roster(FLEET, force=True, dry_run=False)
        for _ in range(DAYS):
            sends = [
                gevent.spawn(store.send, message(dice), depth_limit=50)
                for _ in range(MESSAGES_A_DAY)
            ]
            clock.advance(DAY_S / 2)
            stored = [job.get() for job in sends]
            acks = [
                gevent.spawn(store.ack_ids, d.agent, [sent.message.id])
                for sent in stored
                for d in sent.deliveries
                if sent.message.expires_at is None
            ]
            gevent.joinall(acks, raise_error=True)
            clock.advance(DAY_S / 2)
            while store.sweep(BOUNDS) >= 200:
                pass
            counts = store.counts()
            sizes.append((counts["database_bytes"], counts["wal_bytes"]))
        assert store.counts()["unread"] == 0
    first_year = max(size for size, _ in sizes[365:400])
    second_year = max(size for size, _ in sizes[400:])
    print(f"after a year {first_year / 1e6:.1f} MB, at most {second_year / 1e6:.1f} MB after it")
    print(f"WAL: at most {max(wal for _, wal in sizes) / 1e6:.1f} MB")
    assert sizes[200][0] < first_year  # the archive was still filling: the test can tell
    assert second_year < 1.15 * first_year
    # 200 pages and the largest transaction, a sweep; without checkpoints it would be 450 MB
    assert max(wal for _, wal in sizes) < 4_000_000


def test_a_burst_is_given_back_to_the_file_system(memory: Path) -> None:
    clock = FakeClock()
    with opened(memory, clock=clock) as store:
        store.put_roster(FLEET, force=True, dry_run=False)
        burst = [
            gevent.spawn(
                store.send,
                Draft(sender=AGENTS[0], recipients=AGENTS[1:2], body="x" * 16_000, expires_in_s=1),
                depth_limit=50,
            )
            for _ in range(1500)
        ]
        gevent.joinall(burst, raise_error=True)
        full = store.counts()["database_bytes"]
        assert full > 24_000_000
        for _ in range(3):
            clock.advance(366 * DAY_S)
            for _ in range(60):
                store.sweep(BOUNDS)
        left = store.counts()
        assert left["database_bytes"] < full / 2
        assert left["free_bytes"] < 8_000_000
