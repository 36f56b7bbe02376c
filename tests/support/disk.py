"""Small disks that a hub can fill."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import apsw
import pytest

from tests.support.guard import mark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def disk_of(megabytes: int, place: Path) -> Iterator[Path]:
    """A file system of its own."""
    place.mkdir()
    size = f"size={megabytes}m"
    command = ["mount", "-t", "tmpfs", "-o", size]
    command += [f"agent-bus-test-{mark()}", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.fail(f"this test must be able to mount a tmpfs (run it as root): {mounted.stderr}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextlib.contextmanager
def no_checkpoints(folder: Path) -> Iterator[None]:
    """Read the database in `folder` while the block runs, so that the WAL cannot start anew.

    Otherwise a full disk has room again as soon as the hub makes a checkpoint.
    """
    path = str(folder / "bus.db")
    with contextlib.closing(apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM message").fetchall()
        yield
