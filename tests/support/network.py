"""A network that swallows packets: nftables rules on loopback, for the length of a test."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.guard import mark

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def dropped(*packets: str) -> Iterator[None]:
    """Drop, not reject, packets that match any of these nftables expressions."""
    table = f"agent_bus_test_{mark()}"
    drops = "".join(f"  {packet} drop\n" for packet in packets)
    chain = f" chain input {{\n  type filter hook input priority 0;\n{drops} }}\n"
    applied = subprocess.run(
        ["nft", "-f", "-"],
        input=f"table inet {table} {{\n{chain}}}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if applied.returncode:
        pytest.fail(f"this test needs nftables to drop packets: {applied.stderr}")
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "inet", table], check=True)
