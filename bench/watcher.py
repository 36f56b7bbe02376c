#!/usr/bin/env python3
"""How big, how quick and how cheap the watcher is: resident memory, time to a wake, CPU.

Plays hub and gateway on loopback for one real watcher process. Prints one `name value unit` per
line. The goals: 18 MiB resident, 3 ms (p50) from a message's line in the stream until the gateway
has the request, 60 us of CPU per event.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = Path(__file__).resolve().parents[1] / "files"
WAKES = 300
EVENTS = 20_000
IDLE_S = 20.0
ANSWER = b'{"ok":true,"mode":"now","eventOutcome":"queued"}'
CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from agent_bus_client.__main__ import watch; sys.exit(watch(sys.argv[2]))"
)


class StreamingHub:
    """A hub that holds one stream and takes every report."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.stream: socket.socket | None = None
        self.connected = threading.Event()
        self.seq = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            peer, _ = self.listener.accept()
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        head = peer.recv(262144)
        if not head.startswith(b"GET /api/stream"):
            peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            peer.close()
            return
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: e-0\n\n")
        self.stream = peer
        hello = {"epoch": "e", "head": 0, "keepalive_s": 15, "agents": ["alpha"], "mailboxes": []}
        self.event("hello", hello)
        self.connected.set()

    def event(self, kind: str, facts: dict[str, object]) -> None:
        """Write one control event."""
        assert self.stream
        self.stream.sendall(f"event: {kind}\ndata: {json.dumps(facts)}\n\n".encode())

    def message(self) -> bytes:
        """Return the frame of the next message."""
        self.seq += 1
        facts = {
            "id": f"{self.seq:026d}", "seq": self.seq, "from_agent": "beta", "to_agent": "alpha",
            "subject": None, "body": "x" * 500, "data": None, "priority": "normal",
            "reply_to": None, "thread_id": f"{self.seq:026d}", "read_at": None,
            "created_at": "2026-11-20T00:00:00.000Z",
        }  # fmt: skip
        return f"id: e-{self.seq}\ndata: {json.dumps(facts)}\n\n".encode()

    def fetched(self) -> None:
        """Say that the agent has fetched all."""
        counts = {"agent": "alpha", "unfetched": 0, "unread": 0, "max_unfetched_seq": None}
        self.event("mailbox", counts)


class WakeTaker:
    """Takes wakes and remembers when each request had arrived."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.woken: list[float] = []
        self.some = threading.Semaphore(0)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            peer, _ = self.listener.accept()
            head = peer.recv(65536)
            at = time.perf_counter()
            length = len(ANSWER)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (length, ANSWER))
            peer.close()
            if b"/hooks/wake" in head.partition(b"\r\n")[0]:
                self.woken.append(at)
                self.some.release()


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> int:
    """Return a process's resident memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0])


def settled_cpu_s(pid: int) -> float:
    """Return the CPU time once it has not grown for a second."""
    used = cpu_s(pid)
    while True:
        time.sleep(1)
        now = cpu_s(pid)
        if now == used:
            return now
        used = now


def latency(pid: int, hub: StreamingHub, gateway: WakeTaker) -> None:
    """Print the memory at rest and the time from a message's line to the gateway's request."""
    time.sleep(1)
    print(f"resident_at_rest {resident_kib(pid) / 1024:.1f} MiB")
    took_ms = []
    for _ in range(WAKES):
        frame = hub.message()
        assert hub.stream
        started = time.perf_counter()
        hub.stream.sendall(frame)
        assert gateway.some.acquire(timeout=10)
        took_ms.append((gateway.woken[-1] - started) * 1000)
        hub.fetched()
        time.sleep(0.02)
    cuts = statistics.quantiles(took_ms, n=100)
    print(f"line_to_wake_p50 {cuts[49]:.2f} ms\nline_to_wake_p99 {cuts[98]:.2f} ms")


def cost(pid: int, hub: StreamingHub, _gateway: WakeTaker) -> None:
    """Print the CPU time of a burst, and of doing nothing."""
    assert hub.stream
    before = settled_cpu_s(pid)
    for _ in range(EVENTS):
        hub.stream.sendall(hub.message())
    used_s = settled_cpu_s(pid) - before
    print(f"cpu_per_event {used_s / EVENTS * 1e6:.0f} us, in a burst")
    print(f"resident_after_{EVENTS}_events {resident_kib(pid) / 1024:.1f} MiB")
    hub.fetched()
    before = settled_cpu_s(pid)
    time.sleep(IDLE_S)
    print(f"cpu_idle {(cpu_s(pid) - before) / IDLE_S * 100:.2f} %")


def run(part: Callable[[int, StreamingHub, WakeTaker], None], *, min_interval_s: float) -> None:
    """Start a watcher between a played hub and a played gateway and measure one part."""
    hub, gateway = StreamingHub(), WakeTaker()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "outbox").mkdir()
        settings = {
            "node": "n1",
            "hub_url": f"http://127.0.0.1:{hub.port}",
            "gateway_url": f"http://127.0.0.1:{gateway.port}",
            "agents": [{"name": "alpha"}],
            "wake_min_interval_s": min_interval_s,
            "escalate_after_s": 600,
            "state_dir": name,
            "outbox_dir": str(folder / "outbox"),
        }
        (folder / "node.json").write_text(json.dumps(settings), encoding="utf-8")
        for secret in ("node-token", "hook-token"):
            (folder / secret).write_text("x" * 43, encoding="ascii")
        argv = [sys.executable, "-I", "-S", "-c", CODE, str(FILES), str(folder / "node.json")]
        env = {"CREDENTIALS_DIRECTORY": name}
        with subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL) as watcher:
            try:
                assert hub.connected.wait(10)
                part(watcher.pid, hub, gateway)
            finally:
                watcher.terminate()


def main() -> None:
    """Measure both parts."""
    run(latency, min_interval_s=0)
    run(cost, min_interval_s=12)


if __name__ == "__main__":
    main()
