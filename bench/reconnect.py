"""How soon real watchers are back after a restart of a real hub.

Run by `make bench-reconnect` from the project's root. The hub is killed and stopped by turns, and
stays away for 1 s or 5 s before it is started again. Its READY to systemd says when it is back,
its roster says when each watcher's stream was opened, and the watchers' logs count the tries
between. With `--before`, the hub and the watchers of that revision do the same at the same time.
It prints a table and writes .cache/bench-reconnect.json.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
OUT: Final = ROOT / ".cache" / "bench-reconnect.json"
ADMIN: Final = "a" * 43
OUTAGES_S: Final = (1.0, 5.0)
UP_S: Final = (1.0, 3.0)
"""How long all watchers are connected before the next restart."""
GIVE_UP_S: Final = 180.0
"""The run ends if by then the hub is not ready or a watcher is not back."""
SAY_EVERY: Final = 10
CODE: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from agent_bus_client.__main__ import watch; sys.exit(watch(sys.argv[2]))"
)


@dataclass
class Restart:
    """One restart; `back_s` has the seconds after READY of each watcher's stream."""

    how: str
    outage_s: float
    back_s: list[float]


@dataclass
class Result:
    """All restarts of one revision, and its watchers' failed tries per second."""

    name: str
    restarts: list[Restart] = field(default_factory=list)
    tries: dict[int, int] = field(default_factory=dict)


class Bench:
    """A hub and its watchers, of one revision's code."""

    def __init__(self, name: str, files: Path, folder: Path, watchers: int) -> None:
        self.result = Result(name)
        self._files = files
        self._folder = folder
        self._nodes = [f"n{number}" for number in range(watchers)]
        self._port = _free_port()
        self._hub: subprocess.Popen[bytes] | None = None
        self._watchers: list[subprocess.Popen[bytes]] = []
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        self._notify.settimeout(GIVE_UP_S)

    def run(self, restarts: int, ended: threading.Event) -> None:
        """Restart the hub this many times, or until `ended`."""
        try:
            self._start_hub()
            self._put_roster()
            for node in self._nodes:
                self._start_watcher(node)
            self._all_back()
            for number in range(restarts):
                if ended.wait(random.uniform(*UP_S)):
                    break
                how, outage_s = ("kill", "stop")[number % 2], OUTAGES_S[number // 2 % 2]
                self.result.restarts.append(self._restart(how, outage_s))
                if (number + 1) % SAY_EVERY == 0:
                    print(f"{self.result.name}: {number + 1} restarts", flush=True)
        finally:
            self._end()
        self._count_tries()

    def _restart(self, how: str, outage_s: float) -> Restart:
        assert self._hub is not None
        if how == "kill":
            os.killpg(self._hub.pid, signal.SIGKILL)
        else:
            self._hub.terminate()
        self._hub.wait(GIVE_UP_S)
        time.sleep(outage_s)
        ready_at = self._start_hub()
        back_s = [max(0.0, since - ready_at) for since in self._all_back()]
        return Restart(how, outage_s, back_s)

    def _start_hub(self) -> float:
        """Start it; return when it said READY, by the wall clock."""
        tokens, config = self._folder / "admin-tokens", self._folder / "hub.json"
        tokens.write_text(hashlib.sha256(ADMIN.encode()).hexdigest() + "\n", encoding="ascii")
        settings = {
            "bind": f"127.0.0.1:{self._port}",
            "database": str(self._folder / "bus.db"),
            "admin_tokens_file": str(tokens),
        }
        config.write_text(json.dumps(settings), encoding="utf-8")
        address = str(self._folder / "notify")
        with (self._folder / "hub.log").open("ab") as log:
            self._hub = subprocess.Popen(
                [sys.executable, "-m", "agent_bus", "serve", "--config", str(config)],
                env={**os.environ, "PYTHONPATH": str(self._files), "NOTIFY_SOCKET": address},
                stderr=log,
                start_new_session=True,
            )
        while b"READY=1" not in self._notify.recv(4096):
            pass  # what the one before has said
        return time.time()

    def _put_roster(self) -> None:
        roster = {
            "agents": [{"name": f"agent-{node}", "node": node} for node in self._nodes],
            "groups": {},
            "tokens": [
                {"node": node, "sha256": [hashlib.sha256(_token(node).encode()).hexdigest()]}
                for node in self._nodes
            ],
        }
        self._call("PUT", roster)

    def _start_watcher(self, node: str) -> None:
        folder = self._folder / node
        (folder / "secrets").mkdir(parents=True)
        (folder / "outbox").mkdir()
        (folder / "secrets" / "node-token").write_text(_token(node), encoding="ascii")
        settings = {
            "node": node,
            "hub_url": f"http://127.0.0.1:{self._port}",
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

    def _all_back(self) -> list[float]:
        """When each watcher's stream was opened, by the wall clock, once all are open."""
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            since = [node["stream_since"] for node in self._call("GET")["nodes"]]
            if len(since) == len(self._nodes) and all(since):
                return [datetime.fromisoformat(text).timestamp() for text in since]
            time.sleep(0.1)
        raise SystemExit(f"{self.result.name}: not all watchers were back in {GIVE_UP_S:g} s")

    def _call(self, method: str, body: object = None) -> Any:  # noqa: ANN401 - decoded JSON
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=GIVE_UP_S)
        with contextlib.closing(connection):
            payload = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {ADMIN}"}
            connection.request(method, "/api/agents", payload, headers)
            answer = connection.getresponse()
            found = json.loads(answer.read())
        if answer.status != 200:
            raise SystemExit(f"{method} /api/agents: {found}")
        return found

    def _end(self) -> None:
        for watcher in self._watchers:
            watcher.terminate()
        for watcher in self._watchers:
            watcher.wait(GIVE_UP_S)
        if self._hub is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._hub.pid, signal.SIGKILL)
            self._hub.wait(GIVE_UP_S)
        self._notify.close()

    def _count_tries(self) -> None:
        """Count what the watchers logged of streams that ended or could not be opened."""
        tries = Counter[int]()
        for node in self._nodes:
            for line in (self._folder / node / "log").read_text(encoding="utf-8").splitlines():
                said = json.loads(line)
                if said["event"] in {"stream ended", "hub refused the stream"}:
                    at = datetime.fromisoformat(said["at"])
                    tries[int(at.timestamp())] += 1
        self.result.tries = dict(tries)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(len(ordered) * share) - 1))]


def table(result: Result) -> Iterator[str]:
    """The figures by kind of end and length of outage, and those of all together."""
    groups: dict[str, list[Restart]] = {}
    for one in result.restarts:
        groups.setdefault(f"{one.how}, away {one.outage_s:g} s", []).append(one)
    groups["all"] = result.restarts
    yield f"{result.name}: seconds from the hub's READY (p50 p99 max)"
    yield f"{'':18} {'restarts':>8}   {'a watcher is back':^20} {'all are back':^20}"
    for name, restarts in sorted(groups.items(), key=lambda item: (item[0] == "all", item[0])):
        each = [seconds for one in restarts for seconds in one.back_s]
        last = [max(one.back_s) for one in restarts]
        columns = "  ".join(
            " ".join(f"{value:6.2f}" for value in (quantile(v, 0.5), quantile(v, 0.99), max(v)))
            for v in (each, last)
        )
        yield f"{name:18} {len(restarts):8}   {columns}"
    busy = list(result.tries.values())
    yield (
        f"failed tries of all watchers in a second: p50 {quantile(busy, 0.5):g}, "
        f"p99 {quantile(busy, 0.99):g}, most {max(busy)}; in all {sum(busy)}"
    )


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=9)
    parser.add_argument("--restarts", type=int, default=200)
    parser.add_argument("--before", metavar="REVISION", help="measure that one beside this one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agent-bus-reconnect-") as name:
        folder = Path(name)
        benches = [_bench("this revision", ROOT / "files", folder / "now", options.watchers)]
        if options.before:
            archive = subprocess.run(
                ["git", "archive", options.before, "files"],
                cwd=ROOT,
                capture_output=True,
                check=True,
            )
            subprocess.run(["tar", "-x", "-C", name], input=archive.stdout, check=True)
            before = _bench(options.before, folder / "files", folder / "then", options.watchers)
            benches.append(before)
        _run(benches, options.restarts)
    for bench in benches:
        print()
        print("\n".join(table(bench.result)))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([asdict(bench.result) for bench in benches]), encoding="utf-8")


def _bench(name: str, files: Path, folder: Path, watchers: int) -> Bench:
    folder.mkdir()
    return Bench(name, files, folder, watchers)


def _run(benches: list[Bench], restarts: int) -> None:
    """Run all at the same time; the first decides for how long."""
    ended = threading.Event()
    others = [
        threading.Thread(target=bench.run, args=(restarts, ended), daemon=True)
        for bench in benches[1:]
    ]
    for other in others:
        other.start()
    try:
        benches[0].run(restarts, ended)
    finally:
        ended.set()
        for other in others:
            other.join(GIVE_UP_S)


def _token(node: str) -> str:
    return f"{node}-token-{'n' * 40}"[:43]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
