"""Fetch what a hub of the lab is made of, while its image is made: `python -m lab.wheels`.

A rollout would fetch the same, later. That a package index is out of reach is for the rollout to
say, which says what to do about it.
"""

from __future__ import annotations

import platform
import sys

from lab.paths import ROOT
from lab.progress import say
from library.release_archive import download_wheels, merged

PYTHON = "3.11"
"""The Python of the lab's default distribution."""


def main() -> int:
    """Fetch the wheels unless they are there."""
    lock = merged([(ROOT / "requirements.txt").read_text(encoding="utf-8")])
    try:
        folder = download_wheels(lock, PYTHON, platform.machine(), ROOT / ".cache")
    except (OSError, ValueError) as error:
        say(f"lab: the hub's packages are not fetched ahead: {error}")
        return 0
    say(f"lab: {len([*folder.iterdir()])} packages of the hub are here")
    return 0


if __name__ == "__main__":
    sys.exit(main())
