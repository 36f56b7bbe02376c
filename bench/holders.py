"""Processes that hold many streams by the watcher's own stream threads, one thread per stream.

A watcher is a process with one such thread. For a thousand streams that would be too many
processes for one machine, and what comes back after an outage is the thread alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus_client.hub.stream import Stream

ROOT: Final = Path(__file__).resolve().parents[1]
PROCESSES: Final = 4
STACK_BYTES: Final = 256 * 1024
HELLO, TRY = "hello", "try"


class Sign(NamedTuple):
    """A stream of `node` is tried, or has its `hello`, at this hub; `at` is monotonic."""

    node: str
    hub: int
    at: float


def token(node: str) -> str:
    """The token of a node."""
    return f"{node}-token-{'n' * 40}"[:43]


@dataclass
class Holders:
    """The processes that hold the streams of `nodes`, with the client's code in `files`.

    The first hub comes first for each node; the others follow in one order for half of them, and
    in the other for the rest.
    """

    files: Path
    urls: Sequence[str]
    nodes: Sequence[str]
    hellos: list[Sign] = field(default_factory=list)
    tries: list[Sign] = field(default_factory=list)
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> None:
        """Start all; streams are opened from now on."""
        for number in range(PROCESSES):
            spec = {
                "files": str(self.files),
                "urls": list(self.urls),
                "nodes": self.nodes[number::PROCESSES],
            }
            holder = subprocess.Popen(
                [sys.executable, "-m", "bench.holders", json.dumps(spec)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._processes.append(holder)
            threading.Thread(target=self._listen, args=(holder,), daemon=True).start()

    def end(self) -> None:
        """Kill all."""
        for holder in self._processes:
            holder.kill()
            holder.wait()

    def _listen(self, holder: subprocess.Popen[str]) -> None:
        assert holder.stdout is not None
        for line in holder.stdout:
            kind, node, hub, at = line.split()
            signs = self.hellos if kind == HELLO else self.tries
            signs.append(Sign(node, int(hub), float(at)))


def hold(spec: dict[str, Any]) -> None:
    """Hold the streams of some nodes; say `KIND NODE HUB SECONDS` of each try and each hello."""
    sys.path.insert(0, spec["files"])
    from agent_bus_client.hub.hubs import Hubs
    from agent_bus_client.hub.transport import HubClient
    from agent_bus_client.watcher.stream import Received, StreamThread

    threading.stack_size(STACK_BYTES)
    lock = threading.Lock()
    urls: list[str] = spec["urls"]

    def say(kind: str, node: str, url: str, at: float) -> None:
        with lock:
            print(kind, node, urls.index(url), at, flush=True)

    def start(number: int, node: str) -> None:
        class Client(HubClient):
            def open_stream(self, *args: Any, **named: Any) -> Stream:  # noqa: ANN401 - as it is
                say(TRY, node, self.url, time.monotonic())
                return super().open_stream(*args, **named)

        first, *others = urls
        ordered = [first, *(others if number % 2 else reversed(others))]
        hubs = Hubs(tuple(Client(url, lambda: token(node)) for url in ordered))

        def put(item: object) -> None:
            if isinstance(item, Received) and item.type == HELLO:
                say(HELLO, node, hubs.url, item.at)

        StreamThread(hubs, None, put).start()

    for number, node in enumerate(spec["nodes"]):
        start(number, node)
    sys.stdin.read()  # until the parent ends
    os._exit(0)


if __name__ == "__main__":
    hold(json.loads(sys.argv[1]))
