"""How soon the streams of a hub that dies are all at other hubs.

Run by `make bench-hub-death` from the project's root. Three real hubs run here, with a database
each or, with `--postgres`, one PostgreSQL for all. The watchers' own stream threads open all
streams at the first hub; half of them have the second hub next, half the third. Then the first
hub is killed. A stream has moved when the `hello` of another hub has come. It prints a table and
writes .cache/bench-hub-death.json.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.holders import Holders, token
from bench.reconnect import quantile

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
FILES: Final = ROOT / "files"
OUT: Final = ROOT / ".cache" / "bench-hub-death.json"
ADMIN: Final = "a" * 43
HUBS: Final = 3
GIVE_UP_S: Final = 180.0


class Hub:
    """One real hub."""

    def __init__(self, folder: Path, database: str | None) -> None:
        folder.mkdir()
        self._folder = folder
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "admin-tokens").write_text(_digest(ADMIN) + "\n", encoding="ascii")
        settings: dict[str, Any] = {
            "name": folder.name,
            "bind": f"127.0.0.1:{self.port}",
            "database": database or str(folder / "bus.db"),
            "admin_tokens_file": str(folder / "admin-tokens"),
        }
        if database:
            settings["data_folder"] = str(folder)
        (folder / "hub.json").write_text(json.dumps(settings), encoding="utf-8")
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(folder / "notify"))
        notify.settimeout(GIVE_UP_S)
        with (folder / "log").open("wb") as log, contextlib.closing(notify):
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "agent_bus", "serve"),
                    *("--config", str(folder / "hub.json")),
                ],
                env={
                    **os.environ,
                    "PYTHONPATH": str(FILES),
                    "NOTIFY_SOCKET": str(folder / "notify"),
                },
                stderr=log,
                start_new_session=True,
            )
            while b"READY=1" not in notify.recv(4096):
                pass

    def kill(self) -> None:
        """End the hub's processes at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(GIVE_UP_S)

    def put_roster(self, nodes: list[str]) -> None:
        """Register the nodes, with an agent each."""
        roster = {
            "agents": [{"name": f"agent-{node}", "node": node} for node in nodes],
            "groups": {},
            "tokens": [{"node": node, "sha256": [_digest(token(node))]} for node in nodes],
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=GIVE_UP_S)
        with contextlib.closing(connection):
            headers = {"Authorization": f"Bearer {ADMIN}"}
            connection.request("PUT", "/api/agents", json.dumps(roster), headers)
            answer = connection.getresponse()
            said = answer.read()
        if answer.status != 200:
            raise SystemExit(f"roster: {answer.status} {said!r}")

    def cpu_s(self) -> float:
        """CPU seconds of the hub's processes so far."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:  # their process group
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def measure(folder: Path, streams: int, database: str | None) -> dict[str, Any]:
    """Open all streams, kill the first hub, and return what became of them."""
    nodes = [f"n{number}" for number in range(streams)]
    hubs: list[Hub] = []
    with contextlib.ExitStack() as ends:
        for number in range(HUBS):
            hubs.append(Hub(folder / f"hub-{number}", database))
            ends.callback(hubs[-1].kill)
        for hub in hubs[: 1 if database else HUBS]:
            hub.put_roster(nodes)
        holders = Holders(FILES, [hub.url for hub in hubs], nodes)
        ends.callback(holders.end)
        holders.start()
        hellos = holders.hellos
        _wait(lambda: len({node for node, _, _ in hellos}) == streams, "all streams are open")
        before_s = [hub.cpu_s() for hub in hubs[1:]]
        began = len(hellos)
        killed_at = time.monotonic()
        hubs[0].kill()
        _wait(lambda: len({n for n, hub, _ in hellos[began:] if hub}) == streams, "all moved")
        moved = {n: (hub, at - killed_at) for n, hub, at in reversed(hellos[began:]) if hub}
        spent_s = [hub.cpu_s() - before for hub, before in zip(hubs[1:], before_s, strict=True)]
        return {
            "seconds": sorted(seconds for _, seconds in moved.values()),
            "at": [sum(hub == number for hub, _ in moved.values()) for number in (1, 2)],
            "cpu_s": spent_s,
        }


def table(rounds: list[dict[str, Any]]) -> Iterator[str]:
    """One line per round."""
    yield "seconds from the kill to the hello of another hub"
    yield f"{'p50':>6} {'p99':>6} {'max':>6}   streams at the others   their CPU, s"
    for one in rounds:
        seconds = one["seconds"]
        figures = " ".join(
            f"{value:6.2f}" for value in (quantile(seconds, 0.5), quantile(seconds, 0.99))
        )
        cpu = " ".join(f"{value:5.2f}" for value in one["cpu_s"])
        yield f"{figures} {seconds[-1]:6.2f}   {one['at'][0]:9} {one['at'][1]:9}     {cpu}"


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres", action="store_true", help="one PostgreSQL for all hubs")
    options = parser.parse_args()
    rounds = []
    for _ in range(options.rounds):
        with (
            tempfile.TemporaryDirectory(prefix="agent-bus-hub-death-") as name,
            _postgres(Path(name)) if options.postgres else nullcontext() as database,
        ):
            rounds.append(measure(Path(name), options.streams, database))
        print("\n".join(table(rounds[-1:])), flush=True)
    print()
    print("\n".join(table(rounds)))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(rounds), encoding="utf-8")


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    """The URL of an empty database on a server of its own."""
    from tests.support.postgres import TEMPORARY, Server

    server = Server(TEMPORARY / folder.name.replace("hub-death", "postgres"))
    try:
        server.start()
        with server.connect() as connection:
            connection.execute("CREATE DATABASE bus")
        yield server.url("bus")
    finally:
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)


def _wait(condition: Any, what: str) -> None:  # noqa: ANN401 - a function without arguments
    deadline = time.monotonic() + GIVE_UP_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {GIVE_UP_S:g} s: {what}")
        time.sleep(0.05)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
