"""Hubs that start in a third of the time: forked from a process that has imported all they need.

A hub spends most of its start on importing libraries, and a run starts hundreds of hubs. So
`serve` asks a process that has done this part of `python -m agent_bus serve` to fork, and the
child does the rest. Each hub has its own process group, log and settings. Only the environment is
the nursery's, so a test that sets variables starts Python anew.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import IO, Any

from tests.support.guard import marked

FILES = Path(__file__).resolve().parents[2] / "files"
MESSAGE_BYTES = 4096
STARTS: Counter[str] = Counter()
"""How many hubs this process has started, and how; shown at the end of the run."""


class Child:
    """A forked hub, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, once it has ended."""
        self._nursery.listen(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, when it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not ended in `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"hub {self.pid}", timeout or 0)
            self._nursery.listen(0.05)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal it alone, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that forks; one per pytest process, any thread may use it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._children: dict[int, Child] = {}
        self._started: list[Child] = []
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.nursery", str(theirs.fileno())],
                env=marked(PYTHONPATH=os.pathsep.join([str(FILES), str(FILES.parent)])),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def serve(self, config: Path, log: IO[bytes]) -> Child:
        """Start a hub; its output goes to `log`."""
        with self._lock:
            socket.send_fds(self._socket, [str(config).encode()], [log.fileno()])
            while not self._started:
                self._take()
            return self._started.pop()

    def listen(self, seconds: float) -> None:
        """Take what the nursery says, after waiting for it this long at most."""
        with self._lock:
            if select.select([self._socket], [], [], seconds)[0]:
                self._take()

    def _take(self) -> None:
        told = self._socket.recv(MESSAGE_BYTES)
        assert told, "the process that forks hubs has ended"
        pid, status = json.loads(told)
        if status is None:
            self._children[pid] = Child(self, pid)
            self._started.append(self._children[pid])
        else:
            self._children.pop(pid).returncode = os.waitstatus_to_exitcode(status)


@functools.cache
def nursery() -> Nursery:
    """The nursery of this process."""
    return Nursery()


def served(config: Path, log: IO[bytes], **environ: str) -> subprocess.Popen[bytes] | Child:
    """A hub in a process group of its own, started with these settings; its output goes to `log`.

    Args:
        environ: variables of its own; with any it is started as `python -m agent_bus serve`.
    """
    STARTS["as programs of their own" if environ else "forked"] += 1
    if not environ:
        return nursery().serve(config, log)
    return subprocess.Popen(
        [sys.executable, "-m", "agent_bus", "serve", "--config", str(config)],
        env=marked(**{"PYTHONPATH": str(FILES), **environ}),
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def prepare() -> None:
    """Import all that a hub imports; a test compares it with what a hub really does."""
    from gevent import monkey

    monkey.patch_all()  # as `serve` begins

    import agent_bus.__main__
    import agent_bus.server.gunicorn_conf
    import agent_bus.store.postgres.link.address
    import agent_bus.store.postgres.postgres_store  # noqa: F401


def main() -> None:
    """The nursery itself: forks at each message, and says which hubs have started and ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # pytest has to end its hubs first
    prepare()

    from gevent import monkey

    fork, poll = monkey.get_original("os", "fork"), monkey.get_original("select", "select")
    peer = monkey.get_original("socket", "socket")(fileno=int(sys.argv[1]))
    ends: dict[int, int] = {}  # pidfd -> pid
    while True:
        for ready in poll([peer, *ends], [], [])[0]:
            if ready is not peer:
                pid = ends.pop(ready)
                os.close(ready)
                _, status = monkey.get_original("os", "waitpid")(pid, 0)
                peer.send(json.dumps([pid, status]).encode())
                continue
            config, logs, _, _ = socket.recv_fds(peer, MESSAGE_BYTES, 1)
            if not config:
                return
            pid = fork()
            if pid == 0:
                _be_a_hub(config.decode(), logs[0], [peer.fileno(), *ends])
            os.close(logs[0])
            ends[os.pidfd_open(pid)] = pid
            peer.send(json.dumps([pid, None]).encode())


def _be_a_hub(config: str, log: int, others: list[int]) -> Any:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    for descriptor in (log, *others):
        os.close(descriptor)
    from agent_bus.__main__ import main as run

    code = 1
    try:
        code = run(["serve", "--config", config])
    except SystemExit as error:  # how gunicorn ends
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the top of this process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
