"""Many watchers of one hub: when each has its stream, and each try to open one.

All times are by the wall clock, as the hub's roster and the watchers' logs have them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from bench.holders import Holders, token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

CODE: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from agent_bus_client.__main__ import watch; sys.exit(watch(sys.argv[2]))"
)
END_S: Final = 60.0


class Crowd(Protocol):
    """Watchers of some nodes, all of one hub."""

    def start(self) -> None:
        """Start all."""

    def since(self, up_at: float) -> list[float]:
        """When the streams that are open were opened, of a hub that is up since then."""

    def end(self) -> None:
        """End all."""

    def tries(self, outages: Sequence[float]) -> list[float]:
        """Each try to open a stream, after the end; `outages` are the times of the hub's ends."""


class Watchers:
    """Real watchers, a process each."""

    def __init__(
        self,
        files: Path,
        folder: Path,
        *,
        url: str,
        nodes: Sequence[str],
        roster: Callable[[], Any],
    ) -> None:
        self._files = files
        self._folder = folder
        self._url = url
        self._nodes = nodes
        self._roster = roster
        self._watchers: list[subprocess.Popen[bytes]] = []
        self._opened: list[float] = []

    def start(self) -> None:
        """Start all."""
        for node in self._nodes:
            self._start(node)

    def _start(self, node: str) -> None:
        folder = self._folder / node
        (folder / "secrets").mkdir(parents=True)
        (folder / "outbox").mkdir()
        (folder / "secrets" / "node-token").write_text(token(node), encoding="ascii")
        settings = {
            "node": node,
            "hub_url": self._url,
            "agents": [{"name": f"agent-{node}", "waker": "command", "command": ["true"]}],
            "state_dir": str(folder),
            "outbox_dir": str(folder / "outbox"),
        }
        (folder / "node.json").write_text(json.dumps(settings), encoding="utf-8")
        argv = [sys.executable, "-I", "-S", "-c", CODE, str(self._files)]
        with (folder / "log").open("ab") as log:
            watcher = subprocess.Popen(
                [*argv, str(folder / "node.json")],
                env={**os.environ, "CREDENTIALS_DIRECTORY": str(folder / "secrets")},
                stderr=log,
            )
        self._watchers.append(watcher)

    def since(self, up_at: float) -> list[float]:
        """As the hub's roster has it."""
        del up_at  # the roster is that of the hub that runs
        opened = [node["stream_since"] for node in self._roster()["nodes"]]
        found = [datetime.fromisoformat(text).timestamp() for text in opened if text]
        if len(found) == len(self._nodes):
            self._opened += found
        return found

    def end(self) -> None:
        """End all."""
        for watcher in self._watchers:
            watcher.terminate()
        for watcher in self._watchers:
            watcher.wait(END_S)

    def tries(self, outages: Sequence[float]) -> list[float]:
        """What they logged of tries that failed, and the times of those that did not."""
        failed: list[float] = []
        for node in self._nodes:
            with (self._folder / node / "log").open(encoding="utf-8") as log:
                failed += failed_tries(log, outages)
        return [*self._opened, *failed]


def failed_tries(log: Iterator[str] | Any, outages: Sequence[float]) -> list[float]:  # noqa: ANN401 - lines
    """The tries to open a stream that a watcher's log tells of.

    A stream that ends has the same line as one that cannot be opened: the first line after the
    hub's end is no try.
    """
    found: list[float] = []
    ends = sorted(outages)
    for line in log:
        said = json.loads(line)
        if said["event"] not in {"stream ended", "hub refused the stream"}:
            continue
        at = datetime.fromisoformat(said["at"]).timestamp()
        if ends and at >= ends[0]:
            while ends and at >= ends[0]:
                ends.pop(0)
            continue
        found.append(at)
    return found


class StreamThreads:
    """Their stream threads alone, many in a process."""

    def __init__(self, files: Path, url: str, nodes: Sequence[str]) -> None:
        self._holders = Holders(files, (url,), nodes)
        self._wall_s = time.time() - time.monotonic()

    def start(self) -> None:
        """Start all."""
        self._holders.start()

    def since(self, up_at: float) -> list[float]:
        """When each had its first `hello` from this hub."""
        found: dict[str, float] = {}
        for node, _, at in tuple(self._holders.hellos):
            if at + self._wall_s >= up_at:
                found.setdefault(node, at + self._wall_s)
        return list(found.values())

    def end(self) -> None:
        """End all."""
        self._holders.end()

    def tries(self, outages: Sequence[float]) -> list[float]:
        """Each one, as it began."""
        del outages  # they tell of tries alone
        return [at + self._wall_s for _, _, at in self._holders.tries]
