"""Ports that tests take: no two tests, and no connection of anybody, may get the same one."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support import ports
from tests.support.hub import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

ASK = """
import pathlib, sys
from tests.support import ports
ports.LOWEST, ports.EPHEMERAL = int(sys.argv[1]), pathlib.Path(sys.argv[2])
print(*(ports.free_port() for _ in range(6)))
"""


def test_the_kernel_gives_it_to_nobody() -> None:
    low = int(ports.EPHEMERAL.read_text().split()[0])
    assert ports.LOWEST <= ports.free_port() < low


def test_a_server_can_listen_there_again_and_again() -> None:
    port = ports.free_port()
    for _ in range(2):
        socket.create_server(("127.0.0.1", port)).close()


def test_another_process_does_not_get_it(tmp_path: Path) -> None:
    """It takes six of twelve, one of which this process has."""
    port = ports.free_port()
    limits = tmp_path / "range"
    limits.write_text(f"{port + 12} 60999\n")
    for _ in range(5):
        told = subprocess.run(
            [sys.executable, "-c", ASK, str(port), str(limits)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        assert str(port) not in told.stdout.split()
