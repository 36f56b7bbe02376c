"""A pytest is killed in the middle of a test: nothing of it stays behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guard import carriers
from tests.support.hub import REPOSITORY
from tests.support.patience import patience, wait_until

ENDLESS = """
import contextlib, pathlib, subprocess, sys, threading
from tests.support import postgres
from tests.support.disk import disk_of
from tests.support.guard import mark, marked
from tests.support.hub import HubProcess
from tests.support.network import dropped
from tests.support.node_side import Node, StandinProcess

def test_endless(tmp_path):
    (tmp_path / "hub").mkdir()
    hub = HubProcess(tmp_path / "hub")
    hub.start()
    hub.enrol()
    gateway = StandinProcess(tmp_path / "gateway", ("alpha",))
    node = Node(tmp_path / "n1", "n1", f"http://127.0.0.1:{hub.port}", [{"name": "alpha"}])
    node.start()
    sleeper = "import os, time; os.setsid(); os.fork(); time.sleep(600)"
    server = postgres.shared()
    other = subprocess.Popen([sys.executable, "-c", sleeper], env=marked())
    with disk_of(1, tmp_path / "disk"), dropped("ip saddr 127.0.0.77 tcp dport 9"):
        pathlib.Path(__file__).with_name("mark").write_text(f"{mark()} {server.mark}")
        threading.Event().wait(600)
"""
CONFTEST = "from tests.conftest import pytest_configure\n"
PROCESSES = 7
"""PostgreSQL, nursery, hub, gateway, watcher, a sleeper, its child."""


def left_by(marks: str) -> list[str]:
    """What a run has on this machine: processes, file systems, nftables tables, folders."""
    return [found for mark in sorted(set(marks.split())) for found in left_by_one(mark)]


def left_by_one(mark: str) -> list[str]:
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    folders = map(str, Path("/tmp").glob("agent-bus-postgres-*"))
    seen = (*mounts, *listed.stdout.splitlines(), *folders)
    return [*map(str, carriers(mark)), *(line for line in seen if mark in line)]


@pytest.mark.parametrize("workers", [("-p", "no:xdist"), ("-n", "1")], ids=["alone", "xdist"])
def test_what_a_killed_run_has_started_goes_with_it(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_endless.py").write_text(ENDLESS)
    argv = [sys.executable, "-m", "pytest", "-c", str(REPOSITORY / "pyproject.toml"), *workers]
    argv += ["--rootdir", str(REPOSITORY), "--basetemp", str(tmp_path / "temp"), str(tmp_path)]
    log = tmp_path / "log"
    with log.open("wb") as file, subprocess.Popen(argv, cwd=REPOSITORY, stdout=file) as run:
        try:

            def told() -> str:
                assert run.poll() is None, log.read_text()
                place = tmp_path / "mark"
                return place.read_text() if place.exists() else ""

            marks = wait_until(told, "all is started")
            wait_until(lambda: len(left_by(marks)) == PROCESSES + 3, "all is seen")
        finally:
            run.kill()
            run.wait(patience())
    wait_until(lambda: not left_by(marks), "nothing of it is left")
