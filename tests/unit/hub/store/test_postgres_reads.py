"""The PostgreSQL store reads the same from the same rows as the SQLite store."""

from __future__ import annotations

import itertools
import random
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import apsw
import psycopg
import pytest

from agent_bus.core.model import OPERATOR, AgentName, NodeName, Roster, Seq, Stamp
from agent_bus.core.slices import (
    HistorySlice,
    InboxSlice,
    ReplaySlice,
    SearchSlice,
    SweepBounds,
)
from agent_bus.store.postgres.link import connections
from agent_bus.store.postgres.link.address import Address
from agent_bus.store.postgres.read import history, reads, search, vitals
from agent_bus.store.postgres.read.snapshot import snapshot
from agent_bus.store.sqlite.read import history as sqlite_history
from agent_bus.store.sqlite.read import reads as sqlite_reads
from agent_bus.store.sqlite.read import search as sqlite_search
from agent_bus.store.sqlite.write import rosters as sqlite_rosters
from tests.support import postgres
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import draft, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.store.postgres.link.connections import NativeConnection

TABLES: Final = (
    "agent", "mailbox", "message", "delivery", "archive_message", "archive_delivery",
    "idempotency",
)  # fmt: skip
AGENTS: Final = tuple(AgentName(name) for name in ("ada", "bob", "cyd", "Dan"))
EVERYBODY: Final = (*AGENTS, OPERATOR)
BODIES: Final = (
    "plain", "PLAIN", "100%", "1000", "under_score", "underXscore", "back\\slash", "Ärger",
    "ärger", "İstanbul", "istanbul", "straße", "STRASSE", "line\nbreak", "", "'quoted'",
    "\U0001f600",
)  # fmt: skip
TEXTS: Final = (
    "plain", "Plain", "100%", "%", "_", "under_", "\\", "k\\s", "ärger", "ÄRGER", "İ", "i", "ß",
    "SS", "\n", "'", "\U0001f600", "nowhere",
)  # fmt: skip
SWEEP: Final = SweepBounds(
    retain_read_ms=int(7 * DAY_S * 1000), retain_archive_ms=int(30 * DAY_S * 1000), limit=500
)


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[apsw.Connection, NativeConnection, FakeClock]]:
    """The same rows in both: live, read, expired and archived mail, of some weeks."""
    folder, clock = tmp_path_factory.mktemp("both"), FakeClock()
    _fill(folder, clock, random.Random(7))
    light = apsw.Connection(str(folder / "bus.db"), flags=apsw.SQLITE_OPEN_READONLY)
    url = postgres.database(folder)
    with psycopg.connect(url) as heavy:
        for table in TABLES:
            cursor = light.execute(f"SELECT * FROM {table}")
            rows = list(cursor)
            assert rows
            names = [str(one[1]) for one in light.execute(f"PRAGMA table_info({table})")]
            heavy.execute(f"DELETE FROM {table}")
            into = f"INSERT INTO {table} ({', '.join(names)}) VALUES "
            heavy.cursor().executemany(into + f"({', '.join(['%s'] * len(names))})", rows)
        heavy.execute("UPDATE head SET seq = %s", (sqlite_reads.head(light),))
        rotations = list(light.execute("SELECT * FROM meta WHERE key GLOB 'rotation:*'"))
        heavy.cursor().executemany("INSERT INTO meta (key, value) VALUES (%s, %s)", rotations)
    reader, _ = connections.to_reader(Address(url))
    yield light, reader, clock
    reader.close()
    light.close()


def _fill(folder: Path, clock: FakeClock, dice: random.Random) -> None:
    with opened(folder, clock=clock) as store:
        homes = {name: NodeName(f"n{len(name)}") for name in AGENTS}
        tokens: dict[NodeName, tuple[str, ...]] = {NodeName("n3"): ("1" * 64, "2" * 64)}
        store.put_roster(Roster(agents=homes, tokens=tokens), force=True, dry_run=False)
        for number in range(400):
            to = tuple(dice.sample(EVERYBODY, dice.choice([1, 1, 1, 2, 5])))
            one = draft(
                sender=dice.choice(EVERYBODY),
                recipients=to,
                body=dice.choice(BODIES),
                subject=dice.choice([None, dice.choice(BODIES)]),
                rank=dice.choice([0, 1, 2, 2]),
                expires_in_s=dice.choice([None, None, 3600, 86_400 * 20]),
                idempotency_key=str(number) if dice.random() < 0.1 else None,
                payload_sha256=b"1",
            )
            store.send(one, depth_limit=100)
            agent = dice.choice(EVERYBODY)
            page = store.inbox(InboxSlice(agent, limit=5))
            if dice.random() < 0.3:
                store.fetch(agent, [d.seq for d in page])
                now = clock.now_ms()
                store.stamp([Stamp("accepted", agent, d.seq, now, up_to=True) for d in page])
            if dice.random() < 0.6:
                store.ack_ids(agent, [d.message.id for d in page])
            if dice.random() < 0.1:
                clock.advance(dice.choice([60.0, 3600.0, DAY_S]))
                store.sweep(SWEEP)
        assert store.archived_seq(EVERYBODY) > 0


def test_readers_are_tuned_as_plans_are_tested(
    both: tuple[apsw.Connection, NativeConnection, FakeClock],
) -> None:
    _, heavy, _ = both
    for name in re.findall(r"SET (\w+)", connections.TUNED):
        wanted = re.search(rf"SET {name} = ([^;]+)", connections.TUNED)
        assert wanted is not None
        assert connections.one(heavy, f"SHOW {name}") == wanted[1]


def slices(kind: Any, **choices: Any) -> Iterator[Any]:
    """One slice for each combination of what its fields may be."""
    for chosen in itertools.product(*choices.values()):
        yield kind(**dict(zip(choices, chosen, strict=True)))


def test_inboxes(both: tuple[apsw.Connection, NativeConnection, FakeClock]) -> None:
    light, heavy, clock = both
    now, found = clock.steady_ms(), 0
    threads = [row[0] for row in light.execute("SELECT thread_id FROM message LIMIT 2")]
    for wanted in slices(
        InboxSlice, agent=(*EVERYBODY, AgentName("ghost")), limit=(1, 7, 500),
        unread=(True, False), rank=(None, 0, 2), thread=(None, *threads, "nothing"),
        after=((-1, 0), (0, 90), (1, 300), (2, 200), (2, 10**9)),
    ):  # fmt: skip
        mine = reads.inbox(heavy, wanted, now=now)
        assert mine == sqlite_reads.inbox(light, wanted, now=now), wanted
        found += len(mine)
    assert found > 1000


def test_replays(both: tuple[apsw.Connection, NativeConnection, FakeClock]) -> None:
    light, heavy, clock = both
    now, found = clock.steady_ms(), 0
    for wanted in slices(
        ReplaySlice, agents=((), (AGENTS[0],), EVERYBODY), after=(0, 100, 400),
        until=(0, 300, 10**9), limit=(1, 7, 500), unread=(True, False),
    ):  # fmt: skip
        mine = reads.replay(heavy, wanted, now=now)
        assert mine == sqlite_reads.replay(light, wanted, now=now), wanted
        found += len(mine)
    assert found > 500


def test_histories(both: tuple[apsw.Connection, NativeConnection, FakeClock]) -> None:
    light, heavy, _ = both
    times = [row[0] for row in light.execute("SELECT created_at FROM message ORDER BY pk")]
    threads = [row[0] for row in light.execute("SELECT thread_id FROM message LIMIT 1")]
    found = 0
    for wanted in slices(
        HistorySlice, limit=(3, 500), agent=(None, AGENTS[0], OPERATOR), partner=(None, AGENTS[1]),
        thread=(None, *threads), since=(None, times[len(times) // 3]),
        until=(None, times[len(times) // 2]), archived=(True, False), after=(None, 250),
        ascending=(True, False),
    ):  # fmt: skip
        mine = snapshot(heavy, partial(history.page, wanted=wanted))
        assert mine == sqlite_history.page(light, wanted), wanted
        found += len(mine)
    assert found > 1000


def test_searches(both: tuple[apsw.Connection, NativeConnection, FakeClock]) -> None:
    light, heavy, _ = both
    times = [row[0] for row in light.execute("SELECT created_at FROM message ORDER BY pk")]
    found = 0
    for wanted in slices(
        SearchSlice, limit=(2, 500), agent=(None, AGENTS[0], OPERATOR), text=(None, *TEXTS),
        since=(None, times[0]), until=(None, times[-1]), before=(None, 300),
    ):  # fmt: skip
        mine = snapshot(heavy, partial(search.page, wanted=wanted))
        theirs = sqlite_search.page(light, wanted)
        assert mine == theirs, wanted
        found += len(mine.messages)
    assert found > 1000


def test_messages_and_keys(both: tuple[apsw.Connection, NativeConnection, FakeClock]) -> None:
    light, heavy, _ = both
    ids = [
        row[0]
        for t in ("message", "archive_message")
        for row in light.execute(f"SELECT id FROM {t}")
    ]
    for message_id in (*ids, "nothing"):
        mine = snapshot(heavy, partial(reads.message, message_id=message_id))
        assert mine == sqlite_reads.message(light, message_id)
    keys = list(light.execute("SELECT sender, key, created_at FROM idempotency"))
    for sender, key, at in keys:
        for since in (at - 1, at):
            known = reads.known_key(heavy, sender, key, since=since)
            assert known == sqlite_reads.known_key(light, sender, key, since=since)


def test_counters_and_ages(both: tuple[apsw.Connection, NativeConnection, FakeClock]) -> None:
    light, heavy, _ = both
    for agents in ((), AGENTS[:1], EVERYBODY, (AgentName("ghost"),)):
        assert reads.lowest_unread(heavy, agents) == sqlite_reads.lowest_unread(light, agents)
        assert reads.archived_seq(heavy, agents) == sqlite_reads.archived_seq(light, agents)
    assert reads.head(heavy) == sqlite_reads.head(light) > Seq(400)
    assert vitals.mailboxes(heavy) == sqlite_reads.mailboxes(light)
    assert vitals.oldest_unread(heavy) == sqlite_reads.oldest_unread(light)
    assert vitals.last_wakes(heavy) == sqlite_reads.last_wakes(light) != {}
    assert snapshot(heavy, vitals.ages) == sqlite_rosters.ages(light)
    mine, theirs = vitals.counts(heavy), sqlite_reads.counts(light)
    for name in ("head", "unread", "unfetched"):
        assert mine[name] == theirs[name]
