"""Descendants, as a turn's unit sees them: it shows a program only what it may trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).resolve().parents[4] / "files"
HIDES = "mount -t proc -o hidepid=invisible proc /proc"
UNPRIVILEGED = "setpriv --regid 65534 --clear-groups --bounding-set -all --inh-caps -all"
PROGRAM = """
import ctypes, os, signal, sys
sys.path.insert(0, sys.argv[1])
from agent_bus_client.turns import descendants
descendants.adopt_orphans()
ready, told = os.pipe()
child = os.fork()
if child == 0:
    signal.alarm(60)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    if os.fork() == 0:
        signal.alarm(60)
        os.write(told, b"x")
    signal.pause()
    os._exit(0)
os.read(ready, 1)
print(os.path.exists(f"/proc/{child}"), descendants.kill_all(), os.waitpid(child, os.WNOHANG)[1])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount /proc")
def test_a_process_that_cannot_be_dumped_is_killed_with_what_it_has_started() -> None:
    inside = f'{HIDES} && exec {UNPRIVILEGED} "$0" -I -S -c "$1" "$2"'
    command = ["unshare", "-m", "sh", "-c", inside, sys.executable, PROGRAM, str(FILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no /proc of one's own here: {done.stderr.strip()}")
    assert done.stdout.split() == ["False", "2", "9"], done.stderr
