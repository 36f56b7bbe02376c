"""The store path on SQLite and on PostgreSQL, side by side: one process, no HTTP.

Run by `make bench-stores` from the project's root. Both stores sync to the same disk, and take
turns, so that what else the machine does hits both. One sender gives batches of one; 32 senders
wait for each other's commits and share them. It prints a table and writes
.cache/bench-stores.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gevent

from agent_bus.core.clock import SystemClock
from agent_bus.core.model import AgentName, Draft, NodeName, Roster
from agent_bus.core.slices import HistorySlice, InboxSlice, ReplaySlice
from agent_bus.runtime.greenlets import share_interpreter
from agent_bus.store.postgres.link.address import Address
from agent_bus.store.postgres.postgres_store import PostgresStore
from agent_bus.store.sqlite.sqlite_store import SqliteStore
from bench.measure import Times, fsync_ms
from tests.support import guard, postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent_bus.core.model import Acked, Agent, MailboxCounts, Sent
    from agent_bus.store.contract import Backend

OUT: Final = Path(".cache") / "bench-stores.json"
SENDERS: Final = (1, 32)
AGENTS: Final = tuple(AgentName(f"agent-{number}") for number in range(20))
BODY: Final = "x" * 256
TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


class Deaf:
    """A listener that does nothing."""

    def on_sent(self, sent: Sent) -> None:
        """Nothing."""

    def on_acked(self, acked: Acked) -> None:
        """Nothing."""

    def on_mailboxes(self, mailboxes: Sequence[MailboxCounts]) -> None:
        """Nothing."""

    def on_roster(self, roster: Roster, agents: Sequence[Agent]) -> None:
        """Nothing."""


@dataclass
class Side:
    """A store, and what was measured of it: per kind of work the rounds."""

    store: Backend
    server_cpu_s: Callable[[], float]
    rounds: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def measure(self, name: str, work: Callable[[], Times]) -> None:
        """One round."""
        own, theirs = time.process_time(), self.server_cpu_s()
        times = work()
        count = len(times.seconds)
        self.rounds.setdefault(name, []).append(
            {
                "p50_ms": times.quantile(0.5),
                "p99_ms": times.quantile(0.99),
                "per_s": times.per_s or 0.0,
                "client_us": (time.process_time() - own) / count * 1e6,
                "server_us": (self.server_cpu_s() - theirs) / count * 1e6,
            }
        )

    def figures(self, name: str) -> dict[str, float]:
        """The median over the rounds of each figure."""
        found = self.rounds[name]
        return {key: round(statistics.median(one[key] for one in found), 3) for key in found[0]}


@contextlib.contextmanager
def sides(folder: Path) -> Iterator[dict[str, Side]]:
    """Both stores, empty, with a roster."""
    server = postgres.Server(
        postgres.TEMPORARY / f"agent-bus-postgres-{guard.mark()}-bench", fsync=True
    )
    server.start()
    clock = SystemClock()
    on_file = SqliteStore(folder / "bus.db", clock=clock, readers=4, fatal=lambda: os._exit(70))
    on_server = PostgresStore(Address(server.url("postgres")), clock=clock, readers=4)
    found = {
        "sqlite": Side(on_file, lambda: 0.0),
        "postgres": Side(on_server, lambda: cpu_s(server.pids())),
    }
    for side in found.values():
        side.store.listen(Deaf())
        roster = Roster(agents=dict.fromkeys(AGENTS, NodeName("node")))
        side.store.put_roster(roster, force=True, dry_run=False)
    try:
        yield found
    finally:
        for side in found.values():
            side.store.close()


def cpu_s(pids: Sequence[int]) -> float:
    """What processes have used so far."""
    used = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            used += int(stat[11]) + int(stat[12])
    return used * TICK_S


def sends(store: Backend, *, senders: int, count: int) -> Times:
    """So many senders, each sends its next message when the last one is stored."""
    times = Times()

    def send(number: int) -> None:
        for n in range(count // senders):
            to = AGENTS[(number + n) % len(AGENTS)]
            draft = Draft(sender=AGENTS[number % len(AGENTS)], recipients=(to,), body=BODY)
            began = time.perf_counter()
            store.send(draft, depth_limit=30)
            times.seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    gevent.joinall([gevent.spawn(send, number) for number in range(senders)], raise_error=True)
    times.per_s = len(times.seconds) / (time.perf_counter() - began)
    return times


def reads(read: Callable[[AgentName], object], *, count: int) -> Times:
    """One reader, agent by agent."""
    times = Times()
    began = time.perf_counter()
    for number in range(count):
        start = time.perf_counter()
        read(AGENTS[number % len(AGENTS)])
        times.seconds.append(time.perf_counter() - start)
    times.per_s = count / (time.perf_counter() - began)
    return times


def one_round(side: Side, *, count: int) -> None:
    """All kinds of work, once."""
    store = side.store
    for senders in SENDERS:
        size = count if senders > 1 else count // 4
        side.measure(f"send {senders}", partial(sends, store, senders=senders, count=size))
    head = store.head()
    kinds: dict[str, Callable[[AgentName], object]] = {
        "inbox of 20": lambda agent: store.inbox(InboxSlice(agent, limit=20)),
        "replay of 20": lambda agent: store.replay(
            ReplaySlice((agent,), after=head // 2, until=head, limit=20)
        ),
        "history of 20": lambda agent: store.history(
            HistorySlice(limit=20, agent=agent, ascending=False)
        ),
    }
    for name, read in kinds.items():
        side.measure(name, partial(reads, read, count=count // 4))


def table(found: dict[str, Side]) -> str:
    """The figures, a line per kind of work and store."""
    head = (
        f"{'':14} {'':9} {'p50 ms':>8} {'p99 ms':>8} {'per s':>8} {'hub µs':>8} {'server µs':>10}"
    )
    lines = [head]
    for name in found["sqlite"].rounds:
        for kind, side in found.items():
            one = side.figures(name)
            lines.append(
                f"{name:14} {kind:9} {one['p50_ms']:8.2f} {one['p99_ms']:8.2f} {one['per_s']:8.0f}"
                f" {one['client_us']:8.0f} {one['server_us']:10.0f}"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=4000, help="messages per round")
    wanted = parser.parse_args()
    share_interpreter()
    with tempfile.TemporaryDirectory(prefix="agent-bus-stores-", dir=postgres.TEMPORARY) as place:
        sync = fsync_ms(Path(place))
        with sides(Path(place)) as found:
            for _ in range(wanted.rounds):
                for side in found.values():
                    one_round(side, count=wanted.count)
            report: dict[str, Any] = {
                "fsync": sync,
                "load": os.getloadavg()[0],
                **{
                    kind: {name: side.figures(name) for name in side.rounds}
                    for kind, side in found.items()
                },
            }
            print(f"fsync p50 {sync['p50_ms']} ms, load {report['load']:.1f}\n{table(found)}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
