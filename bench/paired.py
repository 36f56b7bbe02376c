"""This tree beside another revision of it: both hubs run, and take turns round by round.

What else the machine does hits both, so the ratio within a round means something where the figures
themselves do not. CPU means most, then messages/s; a time at rest on a busy machine says little.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import report, targets
from bench.loop import run
from bench.measure import machine
from bench.peers.ours import ROOT
from bench.rows import chosen
from bench.turns import CACHE, in_turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OUT: Final = CACHE / "bench-against.json"
NEW, OLD = "new", "old"


@contextlib.contextmanager
def revision(name: str) -> Iterator[Path]:
    """The `files` of another revision, in a folder that goes with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-against-", dir=CACHE) as folder:
        argv = ["git", "archive", name, "files"]
        archive = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
        if archive.returncode:
            raise SystemExit(f"--against {name}: {archive.stderr.decode().strip()}")
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder) / "files"


def main(
    against: str,
    names: Sequence[str],
    *,
    rounds: int,
    scale: float,
    markdown: bool,
    with_goals: bool,
) -> int:
    """Measure, print, keep; 1 if a message was lost or doubled."""
    rows = chosen(names)
    CACHE.mkdir(exist_ok=True)
    with revision(against) as files:
        at = machine(CACHE)
        trees = {NEW: ROOT / "files", OLD: files}
        found = run(in_turns(trees, rows, rounds=rounds, scale=scale))
    print(report.render(list(report.pairs(found)), markdown=markdown))
    wrong = sum(report.wrong(side) for sides in found.values() for side in sides.values())
    load = f"load {at['load_1m']} before, {os.getloadavg()[0]:.1f} after"
    print(f"\nnew: this tree; old: {against}. Lost or doubled: {wrong}. {load}.\n")
    if with_goals:
        listed = list(report.verdicts(targets.against(found)))
        print(report.render(listed, markdown=markdown))
    OUT.write_text(json.dumps({"machine": at, "against": against, "rows": found}, indent=1) + "\n")
    return 1 if wrong else 0
