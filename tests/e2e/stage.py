"""Performs a story of real programs on a fleet of its own, which is removed at the end."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.fleet import making
from lab.paths import LabError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from lab.fleet import standing


@dataclass(frozen=True)
class Story:
    """What one test with real programs consists of.

    Attributes:
        fleet: name of its fleet.
        words: what it shows, for `--help`.
        install: bring the programs to the cache of the control node.
        write_inventory: write the inventory of the hosts and return its folder.
        prepare: make hosts ready for what the story rolls out.
        show: tell it, print it, and return whether all went well.
        logs: print the last words of the hosts, when it has not.
        all_well: what to say when it has.
    """

    fleet: str
    words: str | None
    install: Callable[[], object]
    write_inventory: Callable[[], Path]
    prepare: Callable[[standing.Fleet], object]
    show: Callable[[standing.Fleet], bool]
    logs: Callable[[standing.Fleet], object]
    all_well: str


def perform(story: Story) -> int:
    """Run it all; return the exit code."""
    parser = argparse.ArgumentParser(description=story.words)
    parser.add_argument("--keep", action="store_true", help="leave the fleet to look around in")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    started = time.monotonic()
    up = None
    good = False
    try:
        with ThreadPoolExecutor(max_workers=1) as pool:  # one waits for the network, one boots
            installing = pool.submit(story.install)
            making.down(story.fleet)  # what a run that was killed left
            up = making.up(story.fleet, [story.write_inventory()])
            installing.result()
        story.prepare(up)
        good = story.show(up)
    except (LabError, subprocess.SubprocessError) as error:
        print(f"\ne2e: {error}", file=sys.stderr)
    finally:
        if up and not good:
            story.logs(up)
        if not given.keep:
            making.down(story.fleet)
    verdict = story.all_well if good else "FAILED"
    print(f"e2e: {verdict}, {time.monotonic() - started:.0f} s in all")
    return 0 if good else 1


def _stop(number: int, frame: FrameType | None) -> None:
    raise LabError(f"stopped by signal {number}")
