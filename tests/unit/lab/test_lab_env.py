"""The namespace in which podman runs on a restricted host, made for real."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.paths import LAB_ENV

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = ("/run/libpod", "/run/containers", "/run/netns", "/dev/shm")
OUTSIDE = str(Path("/proc/self/ns/mnt").readlink())


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """The state directory of a namespace of its own, which is ended after the test."""
    yield tmp_path
    lab_env(tmp_path, "--stop")


def lab_env(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run lab-env on a namespace of its own, beside that of the lab."""
    environment = {**os.environ, "LAB_ENV_STATE": str(state)}
    return subprocess.run(
        [str(LAB_ENV), *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_podmans_records_end_with_the_mounts_they_name(state: Path) -> None:
    """Else a machine cut off in a test run says of every later `podman ps`: unknown FS magic."""
    listed = [f"stat -fc %T {folder}" for folder in RECORDS]
    result = lab_env(state, "sh", "-ec", "; ".join([*listed, "readlink /proc/self/ns/mnt"]))
    assert result.returncode == 0, result.stderr
    *kinds, namespace = result.stdout.split()
    if "nothing to do" in lab_env(state, "--status").stdout:
        assert namespace == OUTSIDE
    else:
        assert namespace != OUTSIDE
        assert kinds == ["tmpfs"] * len(RECORDS)


def test_all_calls_share_one_namespace(state: Path) -> None:
    asked = ["readlink", "/proc/self/ns/mnt"]
    assert lab_env(state, *asked).stdout == lab_env(state, *asked).stdout != ""
