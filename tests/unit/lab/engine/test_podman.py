"""Who may end the namespace that all fleets of a machine share."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.engine import podman

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was run instead of lab-env and podman, on a machine without containers."""
    calls: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(" ".join(command[1:]))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(podman, "IN_USE", tmp_path / "lock")
    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_the_last_fleet_ends_it(ended: list[str]) -> None:
    podman.stop_if_unused()
    assert ended[-1] == "--stop"


def test_a_fleet_that_is_being_made_keeps_it(ended: list[str]) -> None:
    with podman.in_use(), podman.in_use():
        podman.stop_if_unused()
    assert ended == []
