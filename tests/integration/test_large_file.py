"""Large files travel in parts: memory stays small, and a file that is cut off does not count."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from ansible.errors import AnsibleActionFail

from lab.paths import ROOT, tool
from playbooks.action_plugins import large_file as carrier
from tests.support.module import answer_of
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
BREAKS = """
import os, pathlib, time
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import local
DOCUMENTATION = local.DOCUMENTATION.replace("name: local", "name: breaks")
CALLS = pathlib.Path(__file__).with_name("calls")
RUN = os.getppid()
class Connection(local.Connection):
    transport = "breaks"
    def exec_command(self, cmd, in_data=None, sudoable=True):
        answer = super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        with CALLS.open("a") as calls:
            print("x", file=calls)
        if CALLS.stat().st_size // 2 % 3 == 0:  # every third answer is lost on its way
            raise AnsibleConnectionFailure("cut off")
        return answer
    def reset(self):
        self._connected = False
"""
"""A connection that breaks again and again, each time after the host has done its task."""
HOLDS = (
    BREAKS.partition("    def exec_command")[0].replace("breaks", "holds")
    + """
    def exec_command(self, cmd, in_data=None, sudoable=True):
        with CALLS.open("a") as calls:
            print("x", file=calls)
        while CALLS.stat().st_size // 2 > 3:
            if os.getppid() != RUN:
                os._exit(1)
            time.sleep(0.01)
        return super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
"""
)
"""A connection that is silent from the third part on, for as long as the run goes on."""


def filled(path: Path, size: int) -> bytes:
    """Write content whose parts differ, and which compresses well so that it travels fast."""
    block = random.Random(size).randbytes(1024)
    count = size // 1024 + 1
    content = b"".join(b"%08d" % number + block for number in range(count))[:size]
    path.write_bytes(content)
    return content


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def command(folder: Path, **task: str) -> list[str]:
    """Return a function that runs one carrying task on this machine."""
    entry = {"name": "Carry it", "large_file": task}
    head = {"hosts": "localhost", "gather_facts": False, "tasks": [entry]}
    play = folder / "play.yml"
    play.write_text(json.dumps([head]))
    inventory = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
    (folder / "hosts").write_text(f"localhost {inventory}\n")
    return [tool("ansible-playbook"), "-i", str(folder / "hosts"), str(play)]


def environment() -> dict[str, str]:
    plugins = str(ROOT / "playbooks" / "action_plugins")
    config = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_ACTION_PLUGINS": plugins}
    return {**os.environ, **config, "ANSIBLE_NOCOLOR": "1"}


def troubled(folder: Path) -> dict[str, str]:
    """Return the environment in which there are connections that break or hold."""
    plugins = folder / "connections"
    plugins.mkdir()
    (plugins / "breaks.py").write_text(BREAKS)
    (plugins / "holds.py").write_text(HOLDS)
    one_call_per_part = {"ANSIBLE_PIPELINING": "true"}
    return {**environment(), "ANSIBLE_CONNECTION_PLUGINS": str(plugins), **one_call_per_part}


def is_free(file: Path) -> bool:
    """Whether nobody writes a file any more."""
    with file.open("rb") as opened, contextlib.suppress(BlockingIOError):
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def carried(folder: Path, **task: str) -> subprocess.CompletedProcess[str]:
    """Carry a file from this machine to this machine."""
    return subprocess.run(
        command(folder, **task), env=environment(), cwd=ROOT, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=patience(),
    )  # fmt: skip


def ways(folder: Path, direction: str) -> tuple[Path, dict[str, str], Path]:
    """Return the file that is carried, the task, and where the file goes to."""
    here, there = folder / "bus-here.db", folder / "bus-there.db"
    task = {"direction": direction, "path": str(there), "local": str(here)}
    return (there, task, here) if direction == "fetch" else (here, task, there)


both = pytest.mark.parametrize("direction", ["fetch", "send"])
WAYS = ["fetch", "send"] if "AGENT_BUS_LARGE_FILES" in os.environ else ["fetch"]
backed_up = pytest.mark.parametrize("direction", WAYS)
"""A backup's way; a restore's too in `make soak`."""


@both
def test_a_file_of_several_parts_arrives_as_it_was(tmp_path: Path, direction: str) -> None:
    source, task, target = ways(tmp_path, direction)
    content = filled(source, 2 * carrier.PART_BYTES + 12345)
    done = carried(tmp_path, **task)
    assert done.returncode == 0, done.stdout
    assert target.read_bytes() == content
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".*")) == []


@backed_up
def test_memory_does_not_grow_with_the_file(tmp_path: Path, direction: str) -> None:
    """The largest process of a run, on either side, needs no more for six parts than for two."""
    source, task, _ = ways(tmp_path, direction)
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True,"
        " stdout=sys.stderr); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    peaks = []
    for parts in (2, 6):
        with source.open("wb") as file:
            file.truncate(parts * carrier.PART_BYTES)
            file.write(random.Random(1).randbytes(MIB))
        done = subprocess.run(
            [sys.executable, "-c", script, *command(tmp_path, **task)], env=environment(),
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=patience(),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] * 1.25, peaks


@backed_up
def test_a_connection_that_breaks_is_made_anew(tmp_path: Path, direction: str) -> None:
    source, task, target = ways(tmp_path, direction)
    content = filled(source, 4 * carrier.PART_BYTES)
    words = [*command(tmp_path, **task), "--extra-vars", "ansible_connection=breaks"]
    done = subprocess.run(
        words, env=troubled(tmp_path), cwd=ROOT, text=True, check=False, timeout=patience(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "the connection broke, trying again" in " ".join(done.stdout.split())
    assert target.read_bytes() == content


def test_what_is_not_as_it_was_is_thrown_away(tmp_path: Path) -> None:
    source, task, target = ways(tmp_path, "fetch")
    filled(source, 3 * MIB)
    done = carried(tmp_path, **task, sha256="0" * 64)
    assert done.returncode != 0
    assert "did not arrive as it was" in done.stdout
    assert not target.exists()
    assert list(tmp_path.glob(".*")) == []


def test_a_run_that_is_cut_off_leaves_no_file_and_the_next_one_works(tmp_path: Path) -> None:
    source, task, target = ways(tmp_path, "fetch")
    content = filled(source, 3 * carrier.PART_BYTES)
    part = tmp_path / ".bus-here.db.part"
    run = subprocess.Popen(
        [*command(tmp_path, **task), "--extra-vars", "ansible_connection=holds"],
        env=troubled(tmp_path), cwd=ROOT, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: part.exists() and part.stat().st_size > 0, "the first part is here")
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    wait_until(lambda: is_free(part), "the last process of the run has ended")
    assert part.exists()
    assert not target.exists()
    task["local"] = str(tmp_path / "bus-later.db")  # the next backup has another name
    again = carried(tmp_path, **task)
    assert again.returncode == 0, again.stdout
    assert (tmp_path / "bus-later.db").read_bytes() == content
    assert not part.exists()


def test_what_another_run_writes_now_is_left_alone(tmp_path: Path) -> None:
    part = tmp_path / ".bus-other.db.part"
    lock = "import fcntl, sys; f = open(sys.argv[1], 'wb'); fcntl.flock(f, fcntl.LOCK_EX);"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{lock} print('locked', flush=True); sys.stdin.read()", str(part)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout
    holder.stdout.readline()
    carrier.discard_abandoned(tmp_path)
    assert part.exists()
    holder.communicate("")
    carrier.discard_abandoned(tmp_path)
    assert not part.exists()


def test_without_room_nothing_is_begun(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match=r"2,067 MB are needed, 1,000 MB are free"):
        carrier.require_room(2_000_000_000, 1_000_000_000, str(tmp_path))
    carrier.require_room(2_000_000_000, 2_100_000_000, str(tmp_path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    _, task, _ = ways(tmp_path, "fetch")
    done = carried(tmp_path, **task)
    assert done.returncode != 0
    assert "bus-there.db is not there" in done.stdout


def test_the_host_takes_no_part_that_leaves_a_gap(tmp_path: Path) -> None:
    target = tmp_path / "x.db"
    given = {"path": str(target), "part": "write", "content": packed(b"b" * 10)}
    refused = answer_of("large_file", {**given, "offset": 10})
    assert refused["failed"]
    assert "ends before byte 10" in refused["msg"]
    assert not answer_of("large_file", {**given, "offset": 0}).get("failed")
    repeated = answer_of("large_file", {**given, "offset": 0})
    assert not repeated.get("failed")
    assert "bbb" not in json.dumps(repeated)
    wrong = answer_of("large_file", {"path": str(target), "part": "finish", "sha256": "0" * 64})
    assert wrong["failed"]
    assert not target.exists()
    assert not answer_of("large_file", {**given, "offset": 0}).get("failed")
    right = {"path": str(target), "part": "finish"}
    sha256 = hashlib.sha256(b"b" * 10).hexdigest()
    found: dict[str, Any] = answer_of("large_file", {**right, "sha256": sha256})
    assert found["sha256"] == sha256
    assert target.read_bytes() == b"b" * 10
