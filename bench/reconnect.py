"""How soon real watchers are back after a restart of a real hub.

Run by `make bench-reconnect` from the project's root. The hub is killed and stopped by turns, and
stays away for 1 s or 5 s before it is started again. Its READY to systemd says when it is back,
its roster says when each watcher's stream was opened, and the watchers' logs count the tries
between. With `--threads`, the watchers' stream threads do it alone, many in a process. With
`--before`, the hub and the watchers of that revision do the same at the same time.
It prints a table and writes .cache/bench-reconnect-WATCHERS.json.
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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.crowds import StreamThreads, Watchers
from bench.holders import token
from bench.targets import Goal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.crowds import Crowd

ROOT: Final = Path(__file__).resolve().parents[1]
CACHE: Final = ROOT / ".cache"
ADMIN: Final = "a" * 43
OUTAGES_S: Final = (1.0, 5.0)
UP_S: Final = (1.0, 3.0)
"""How long all watchers are connected before the next restart."""
MANY: Final = 500
"""From so many watchers on, the hub spreads them over more than 2 s."""
GIVE_UP_S: Final = 180.0
"""The run ends if by then the hub is not ready or a watcher is not back."""
SAY_EVERY: Final = 10


@dataclass
class Restart:
    """One restart; `back_s` has the seconds after READY of each watcher's stream."""

    how: str
    outage_s: float
    back_s: list[float]
    at: float
    """When the hub was ended, by the wall clock."""
    ready_at: float = 0.0
    """And when the next one was ready."""


@dataclass
class Result:
    """All restarts of one revision, and when its watchers tried to open a stream."""

    name: str
    watchers: int
    restarts: list[Restart] = field(default_factory=list)
    tries: list[float] = field(default_factory=list)

    def tries_up(self) -> list[float]:
        """The tries at a hub that was up."""
        found: list[float] = []
        for one, until in zip(self.restarts, [*self.restarts[1:], None], strict=True):
            end = math.inf if until is None else until.at
            found += [at for at in self.tries if one.ready_at <= at < end]
        return found


class Bench:
    """A hub and its watchers, of one revision's code."""

    def __init__(
        self, name: str, files: Path, folder: Path, *, watchers: int, by_thread: bool
    ) -> None:
        self.result = Result(name, watchers)
        self._files = files
        self._folder = folder
        self._nodes = [f"n{number}" for number in range(watchers)]
        self._port = _free_port()
        self._hub: subprocess.Popen[bytes] | None = None
        self._crowd: Crowd = self._gathered(by_thread=by_thread)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        self._notify.settimeout(GIVE_UP_S)

    def _gathered(self, *, by_thread: bool) -> Crowd:
        url = f"http://127.0.0.1:{self._port}"
        if by_thread:
            return StreamThreads(self._files, url, self._nodes)
        return Watchers(
            self._files,
            self._folder,
            url=url,
            nodes=self._nodes,
            roster=lambda: self._call("GET"),
        )

    def run(self, restarts: int, ended: threading.Event) -> None:
        """Restart the hub this many times, or until `ended`."""
        try:
            up_at = self._start_hub()
            self._put_roster()
            self._crowd.start()
            self._all_back(up_at)
            for number in range(restarts):
                if ended.wait(random.uniform(*UP_S)):
                    break
                how, outage_s = ("kill", "stop")[number % 2], OUTAGES_S[number // 2 % 2]
                self.result.restarts.append(self._restart(how, outage_s))
                if (number + 1) % SAY_EVERY == 0:
                    print(f"{self.result.name}: {number + 1} restarts", flush=True)
        finally:
            self._end()
        outages = [one.at for one in self.result.restarts]
        tries = self._crowd.tries(outages)
        if outages:  # the first opening of all is none
            self.result.tries = sorted(at for at in tries if at >= outages[0])

    def _restart(self, how: str, outage_s: float) -> Restart:
        assert self._hub is not None
        ended_at = time.time()
        if how == "kill":
            os.killpg(self._hub.pid, signal.SIGKILL)
        else:
            self._hub.terminate()
        self._hub.wait(GIVE_UP_S)
        time.sleep(outage_s)
        ready_at = self._start_hub()
        back_s = [max(0.0, since - ready_at) for since in self._all_back(ended_at)]
        return Restart(how, outage_s, back_s, ended_at, ready_at)

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
                {"node": node, "sha256": [hashlib.sha256(token(node).encode()).hexdigest()]}
                for node in self._nodes
            ],
        }
        self._call("PUT", roster)

    def _all_back(self, up_at: float) -> list[float]:
        """When each watcher's stream was opened, by the wall clock, once all are open."""
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            since = self._crowd.since(up_at)
            if len(since) == len(self._nodes):
                return since
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
        self._crowd.end()
        if self._hub is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._hub.pid, signal.SIGKILL)
            self._hub.wait(GIVE_UP_S)
        self._notify.close()


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
    most, up = most_in_a_second(result.tries), most_in_a_second(result.tries_up())
    yield (
        f"tries of all {result.watchers} watchers: {len(result.tries)}; in any one second at most "
        f"{most}, at a hub that is up {up}"
    )


def most_in_a_second(times: Sequence[float]) -> int:
    """How many of these (in order) are within one second, wherever that begins."""
    most = first = 0
    for number, at in enumerate(times):
        while times[first] <= at - 1:
            first += 1
        most = max(most, number - first + 1)
    return most


def goals(result: Result) -> list[Goal]:
    """The goals for so many watchers."""
    long = [max(one.back_s) for one in result.restarts if one.outage_s == max(OUTAGES_S)]
    if result.watchers < MANY:
        back = quantile(long, 0.99) if long else None
        return [Goal(f"all back after {max(OUTAGES_S):g} s, p99, s", "<= 2", back, 2)]
    last = [max(one.back_s) for one in result.restarts]
    most = most_in_a_second(result.tries_up()) if result.tries else None
    return [
        Goal("all back, at most, s", "<= 6", max(last) if last else None, 6),
        Goal("tries in a second at a hub that is up", "<= 500", most, 500),
    ]


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=9)
    parser.add_argument("--restarts", type=int, default=200)
    parser.add_argument("--threads", action="store_true", help="stream threads, no whole watchers")
    parser.add_argument("--before", metavar="REVISION", help="measure that one beside this one")
    options = parser.parse_args()
    crowd = {"watchers": options.watchers, "by_thread": options.threads}
    with tempfile.TemporaryDirectory(prefix="agent-bus-reconnect-") as name:
        folder = Path(name)
        benches = [_bench("this revision", ROOT / "files", folder / "now", **crowd)]
        if options.before:
            archive = subprocess.run(
                ["git", "archive", options.before, "files"],
                cwd=ROOT,
                capture_output=True,
                check=True,
            )
            subprocess.run(["tar", "-x", "-C", name], input=archive.stdout, check=True)
            before = _bench(options.before, folder / "files", folder / "then", **crowd)
            benches.append(before)
        _run(benches, options.restarts)
    for bench in benches:
        print()
        print("\n".join(table(bench.result)))
        print("\n".join(goal.line() for goal in goals(bench.result)))
    CACHE.mkdir(exist_ok=True)
    out = CACHE / f"bench-reconnect-{options.watchers}.json"
    out.write_text(json.dumps([asdict(bench.result) for bench in benches]), encoding="utf-8")


def _bench(name: str, files: Path, folder: Path, **crowd: Any) -> Bench:  # noqa: ANN401
    folder.mkdir()
    return Bench(name, files, folder, **crowd)


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


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
