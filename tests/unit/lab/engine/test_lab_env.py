"""The namespace in which podman runs on a restricted host; the tests make real ones."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.paths import LAB_ENV

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = ("/run/containers", "/run/netns", "/run/runc", "/dev/shm")
OUTSIDE = str(Path("/proc/self/ns/mnt").readlink())


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """The state directory of a namespace of its own, which is ended after the test."""
    yield tmp_path
    lab_env(tmp_path, "--stop")


def lab_env(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run lab-env with a namespace of its own, beside that of the lab."""
    environment = {
        **os.environ,
        "LAB_ENV_STATE": str(state / "state"),
        "LAB_STORE": str(state / "store"),
    }
    return subprocess.run(
        [str(LAB_ENV), *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_podmans_records_end_with_the_mounts_they_name(state: Path) -> None:
    """Otherwise, after a power cut in a test run, every `podman ps` fails: unknown FS magic."""
    records = (*RECORDS, f"{state}/state/podman")
    listed = [f"stat -fc %T {folder}" for folder in records]
    result = lab_env(state, "sh", "-ec", "; ".join([*listed, "readlink /proc/self/ns/mnt"]))
    assert result.returncode == 0, result.stderr
    *kinds, namespace = result.stdout.split()
    if "nothing to do" in lab_env(state, "--status").stdout:
        assert namespace == OUTSIDE
    else:
        assert namespace != OUTSIDE
        assert kinds == ["tmpfs"] * len(records)


def test_all_calls_share_one_namespace(state: Path) -> None:
    asked = ["readlink", "/proc/self/ns/mnt"]
    assert lab_env(state, *asked).stdout == lab_env(state, *asked).stdout != ""


def namespace(state: Path) -> str:
    """Return the mount namespace in which a command is run now."""
    return lab_env(state, "readlink", "/proc/self/ns/mnt").stdout.strip()


def test_no_process_holds_the_namespace_that_somebody_could_kill(state: Path) -> None:
    before = namespace(state)
    members = [
        process
        for process in Path("/proc").glob("[0-9]*/ns/mnt")
        if process.is_symlink() and before == _read(process)
    ]
    assert members == []
    assert namespace(state) == before


def _read(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # the process has ended
        return ""


def test_a_namespace_whose_making_was_cut_off_is_made_anew(state: Path) -> None:
    """That includes one from before the machine was switched off, if /run is on disk."""
    if "nothing to do" in lab_env(state, "--status").stdout:
        assert namespace(state) == OUTSIDE
        return
    note = str(state / "state" / "podman" / "note")
    assert lab_env(state, "touch", note).returncode == 0
    assert lab_env(state, "test", "-e", note).returncode == 0
    (state / "state" / "ready").unlink()
    assert lab_env(state, "test", "-e", note).returncode == 1


def test_its_podman_shares_nothing_with_any_other(state: Path) -> None:
    """Otherwise a mere `podman ps` beside the lab calls its running containers Created."""
    told = lab_env(state, "podman", "info", "--format", "json")
    assert told.returncode == 0, told.stderr
    store = json.loads(told.stdout)["store"]
    assert store["graphRoot"] == f"{state}/store/storage"
    assert store["runRoot"] == f"{state}/state/podman/storage"
    assert store["volumePath"] == f"{state}/store/volumes"
    text = lab_env(state, "sh", "-c", 'cat "$CONTAINERS_CONF"').stdout
    engine = tomllib.loads(text)
    assert engine["engine"]["lock_type"] == "file"
    assert engine["engine"]["tmp_dir"] == f"{state}/state/podman/libpod"
    assert engine["network"]["network_config_dir"] == f"{state}/store/networks"
