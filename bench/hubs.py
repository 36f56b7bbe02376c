"""One hub on SQLite, on PostgreSQL and on a quorum of three, and three hubs on one PostgreSQL.

Run by `make bench-hubs` from the project's root, as root for the quotas. Whole hubs are asked by
HTTP, and nine streams take what is sent. All sides are on one disk and take turns, so that what
else the machine does hits all of them. It prints a table and the goals, and writes
.cache/bench-hubs.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvloop

from bench import processes, scenarios
from bench.measure import fsync_ms, machine
from bench.peers import FLEET, HOME
from bench.peers.ours import RAISED_LIMITS
from bench.peers.web import HttpSender, HttpStream
from bench.quorum import quorum
from bench.quota import NoQuotaError, quota
from bench.stores import cpu_s
from bench.targets import Goal
from tests.support import guard, postgres
from tests.support.hub import HubProcess
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.quorum import Quorum

OUT: Final = Path(".cache") / "bench-hubs.json"
LAB: Final = Path(".cache") / "faults-hubs.json"
"""What `make faults-hubs` has measured, with Patroni, which is what finds a dead primary."""
LAB_ROW: Final = "primary's host killed"
SENDERS: Final = 32
"""For each hub."""
SQLITE, LOCAL, QUORUM = "SQLite", "PostgreSQL", "quorum of three"
ONE, THREE = "one hub", "three hubs"
GIVE_UP_S: Final = 60.0


class Hubs:
    """Hubs on one database, as one peer: clients use them in turn."""

    name = "agent-bus"
    differs = ""
    per_agent = True
    is_slow = False

    def __init__(self, hubs: Sequence[HubProcess]) -> None:
        self.hubs = hubs
        self._senders = itertools.cycle(hubs)
        self._streams = itertools.cycle(hubs)

    async def sender(self, agent: str) -> HttpSender:
        """A keep-alive client with the token of the agent's node."""
        hub = next(self._senders)
        return HttpSender(hub.port, token=f"token-{HOME[agent]}", sender=agent)

    async def stream(self, agents: Sequence[str], arrived: Callable[[str], None]) -> HttpStream:
        """The stream of the agents' node."""
        token = f"token-{HOME[agents[0]]}"
        hub = next(self._streams)
        return await HttpStream.open(hub.port, "/api/stream", token=token, arrived=arrived)

    async def start(self, folder: Path) -> None:
        """They run already."""

    def cpu_s(self) -> float:
        """CPU of all hubs so far."""
        return sum(processes.cpu_s(pid_of(hub)) for hub in self.hubs)

    async def stop(self) -> None:
        """Whoever has made them ends them."""


@dataclass
class Side:
    """Hubs with their database, and what was measured of them: a dictionary for each round."""

    peer: Hubs
    database_pids: Callable[[], list[int]] = list
    rounds: list[dict[str, float]] = field(default_factory=list)

    async def measure(self, *, rest: int, load: int) -> None:
        """One round: some messages at rest, then more under load."""
        found: dict[str, float] = {}
        if rest:
            times = await scenarios.with_post(
                self.peer, lambda post: scenarios.at_rest(post, count=rest)
            )
            found["rest_p50_ms"] = times.quantile(0.5)
        senders = SENDERS * len(self.peer.hubs)
        database_s = cpu_s(self.database_pids())
        times = await scenarios.with_post(
            self.peer, lambda post: scenarios.load(post, count=load, senders=senders)
        )
        count = len(times.seconds)
        found |= {
            "per_s": times.per_s or 0.0,
            "load_p50_ms": times.quantile(0.5),
            "hub_us": times.server_us or 0.0,
            "database_us": (cpu_s(self.database_pids()) - database_s) / count * 1e6,
            "client_us": times.client_us or 0.0,
            "wrong": times.lost + times.doubled,
        }
        self.rounds.append(found)

    def figures(self) -> dict[str, float]:
        """The median over the rounds of each figure."""
        return {
            key: round(statistics.median(one[key] for one in self.rounds), 3)
            for key in self.rounds[0]
        }


def pid_of(hub: HubProcess) -> int:
    """The leader of a hub's process group."""
    assert hub.process is not None
    return hub.process.pid


@contextlib.contextmanager
def hubs_on(url: str | None, folder: Path, *, count: int = 1) -> Iterator[Hubs]:
    """So many running hubs with the reference fleet, on SQLite without a URL."""
    ports = [free_port() for _ in range(count)]
    known = [{"name": f"hub{n}", "url": f"http://127.0.0.1:{p}"} for n, p in enumerate(ports)]
    made = []
    for number, port in enumerate(ports):
        own = folder / f"hub{number}"
        own.mkdir(parents=True)
        settings: dict[str, Any] = {**RAISED_LIMITS, "name": f"hub{number}", "hubs": known}
        if url is not None:
            settings |= {"database": url, "data_folder": str(own)}
        made.append(HubProcess(own, settings, port=port, store="sqlite"))
    try:
        for hub in made:
            hub.start()
        reply = made[0].enrol(FLEET)
        if reply.status != 200:
            raise RuntimeError(str(reply.body))
        made[0].hang_up()
        yield Hubs(made)
    finally:
        for hub in made:
            hub.hang_up()
            hub.kill()


@contextlib.contextmanager
def local_server() -> Iterator[postgres.Server]:
    """One PostgreSQL that syncs; it ends with this process."""
    folder = postgres.TEMPORARY / f"agent-bus-postgres-{guard.mark()}-local"
    server = postgres.Server(folder, fsync=True)
    server.start()
    yield server


async def in_turns(sides: dict[str, Side], *, rounds: int, rest: int, load: int) -> dict[str, Any]:
    """The figures of all sides after some rounds."""
    for number in range(rounds):
        for name, side in sides.items():
            await side.measure(rest=rest, load=load * len(side.peer.hubs))
            print(f"  round {number + 1}: {name:16} {_shown(side.rounds[-1])}", file=sys.stderr)
    return {name: side.figures() for name, side in sides.items()}


def stores(folder: Path, members: Quorum, server: postgres.Server, wanted: Any) -> dict[str, Any]:  # noqa: ANN401
    """One hub on each kind of database."""
    with (
        hubs_on(None, folder / "sqlite") as on_file,
        hubs_on(server.url("postgres"), folder / "local") as local,
        hubs_on(members.url, folder / "quorum") as on_quorum,
    ):
        sides = {
            SQLITE: Side(on_file),
            LOCAL: Side(local, server.pids),
            QUORUM: Side(on_quorum, members.pids),
        }
        return asyncio.run(
            in_turns(sides, rounds=wanted.rounds, rest=wanted.rest, load=wanted.load)
        )


def scale(folder: Path, server: postgres.Server, wanted: Any) -> dict[str, Any]:  # noqa: ANN401
    """One hub and three, each with the same share of a core; the database has no limit."""
    with server.connect() as connection:
        for name in ("one", "three"):
            connection.execute(f"CREATE DATABASE {name}")
    with (
        hubs_on(server.url("one"), folder / "one") as one,
        hubs_on(server.url("three"), folder / "three", count=3) as three,
        contextlib.ExitStack() as quotas,
    ):
        try:
            for number, hub in enumerate([*one.hubs, *three.hubs]):
                name = f"agent-bus-bench-{os.getpid()}-{number}"
                quotas.enter_context(quota(name, pid_of(hub), wanted.cores))
            sides = {ONE: Side(one, server.pids), THREE: Side(three, server.pids)}
            return asyncio.run(in_turns(sides, rounds=wanted.rounds, rest=0, load=wanted.load))
        except NoQuotaError as error:
            return {"not_run": str(error)}
        finally:
            for hub in [*one.hubs, *three.hubs]:
                hub.kill()


def fail_over(folder: Path, members: Quorum) -> dict[str, float]:
    """Seconds from the primary's death to the first send that is accepted after it."""
    with hubs_on(members.url, folder / "failover") as peer:
        client = peer.hubs[0].client("node0")
        fields = {"from": "agent0-0", "to": "agent1-0", "body": "after"}
        began = time.perf_counter()
        members.kill_primary()
        members.fail_over()
        promoted_s = time.perf_counter() - began
        headers = {"Idempotency-Key": "after"}
        while client.call("POST", "/api/send", fields, headers).status != 201:
            if time.perf_counter() - began > GIVE_UP_S:
                raise RuntimeError(f"nothing is accepted after {GIVE_UP_S:g} s")
        return {"promoted_s": promoted_s, "accepted_s": time.perf_counter() - began}


def lab_pause_s() -> float | None:
    """For how long nothing was accepted when the lab killed the primary's host; None: not run."""
    if not LAB.exists():
        return None
    rows = json.loads(LAB.read_text(encoding="utf-8"))["faults"]
    return next((float(row["pause_s"]) for row in rows if row["fault"] == LAB_ROW), None)


def goals(found: dict[str, Any]) -> list[Goal]:
    """What several hubs and their database may cost."""

    def ratio(part: str, figure: str, of: str, to: str) -> float | None:
        sides = found.get(part, {})
        return sides[of][figure] / sides[to][figure] if of in sides and to in sides else None

    listed = []
    for kind, times, share in ((LOCAL, 3, 0.5), (QUORUM, 5, 0.4)):
        rest = ratio("stores", "rest_p50_ms", kind, SQLITE)
        listed.append(Goal(f"{kind}, at rest, p50", f"<= {times} x SQLite's", rest, times))
        per_s = ratio("stores", "per_s", kind, SQLITE)
        what = f"{kind}, {SENDERS} senders, messages/s"
        listed.append(Goal(what, f">= {share} x SQLite's", per_s, share, is_floor=True))
    more = ratio("scale", "per_s", THREE, ONE)
    what = "three hubs of a quarter core each, messages/s"
    listed.append(Goal(what, ">= 2.2 x one's", more, 2.2, is_floor=True))
    pause_s = found.get("lab_pause_s")
    listed.append(Goal("failover in the lab, s without a send", "<= 30", pause_s, 30))
    for part in ("stores", "scale"):
        wrong = [one["wrong"] for one in found.get(part, {}).values() if isinstance(one, dict)]
        listed.append(Goal(f"{part}, lost or doubled", "0", sum(wrong) if wrong else None, 0))
    return listed


def table(sides: dict[str, dict[str, float]]) -> str:
    """A line for each side."""
    return "\n".join(f"{name:16} {_shown(one)}" for name, one in sides.items())


def _shown(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:8.2f}" for name, value in figures.items())


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rest", type=int, default=200, help="messages at rest in a round")
    parser.add_argument("--load", type=int, default=6400, help="messages under load for each hub")
    parser.add_argument("--cores", type=float, default=0.25, help="of a core for each hub")
    parser.add_argument("--only", default="stores,scale,failover")
    wanted = parser.parse_args()
    only = wanted.only.split(",")
    uvloop.install()
    report: dict[str, Any] = {"cores": wanted.cores, "lab_pause_s": lab_pause_s()}
    with tempfile.TemporaryDirectory(prefix="agent-bus-hubs-", dir=postgres.TEMPORARY) as place:
        folder = Path(place)
        report |= {"machine": machine(folder), "fsync": fsync_ms(folder)}
        with local_server() as server, quorum() as members:
            if "stores" in only:
                report["stores"] = stores(folder, members, server, wanted)
            if "scale" in only:
                report["scale"] = scale(folder, server, wanted)
            if "failover" in only:
                report["failover"] = fail_over(folder, members)
    for part in ("stores", "scale"):
        if part in report:
            print(
                f"{part}\n{table(report[part]) if 'not_run' not in report[part] else report[part]}"
            )
    print("\n".join(goal.line() for goal in goals(report)))
    if "failover" in report:
        print(
            "failover, with a promote by this program: {accepted_s:.2f} s".format(
                **report["failover"]
            )
        )
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
