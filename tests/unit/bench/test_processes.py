"""Which processes belong to a server is found without knowing its process model."""

from __future__ import annotations

import os
import subprocess
import sys

from bench import processes
from bench.processes import Stat, parse_stat, related
from tests.support.guard import marked
from tests.support.patience import patience, wait_until


def test_a_line_of_stat_is_read_whatever_the_programs_name_is() -> None:
    line = "42 (a) 1 (b c) S 7 40 39 0 -1 4194560 100 0 0 0 11 12 13 14 20 0 3 0 99"
    assert parse_stat(line) == Stat(42, 7, 40, 39, 50)


def test_descendants_groups_and_sessions_belong_to_a_server_and_nothing_else_does() -> None:
    everyone = [
        Stat(10, 1, 5, 5, 0),  # the leader, in the group of who started it
        Stat(11, 10, 5, 5, 0),  # its child
        Stat(12, 11, 12, 12, 0),  # its grandchild, in a session of its own
        Stat(13, 1, 10, 10, 0),  # an orphan of its group
        Stat(14, 1, 14, 10, 0),  # and of its session
        Stat(5, 1, 5, 5, 0),  # who started it
        Stat(6, 5, 5, 5, 0),
    ]
    assert {stat.pid for stat in related(10, everyone)} == {10, 11, 12, 13, 14}


def test_what_children_have_used_counts_after_their_end() -> None:
    burn = "sum(n * n for n in range(3_000_000))"
    code = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{burn}'], check=True);"
        "print('done', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(
        argv, env=marked(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"done\n"
        assert processes.cpu_s(started.pid) > 0
        assert processes.pss_kib(started.pid) > 0
        assert processes.descriptors([started.pid]) >= 3
        assert [stat.pid for stat in processes.family(started.pid)] == [started.pid]
        started.communicate(timeout=patience())
    wait_until(lambda: not processes.family(started.pid), "it is gone")
    assert os.getpid() not in {stat.pid for stat in processes.family(started.pid)}
