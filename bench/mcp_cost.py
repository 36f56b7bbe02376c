"""What a call by MCP costs: over stdio beside the command line, over HTTP beside `POST /api/send`.

Run by `make bench-mcp` from the project's root. Both sides of a comparison talk to one hub and
take turns, so that what else the machine does hits both. On the side of the agent all CPU counts:
of the processes that are started, and of this one. At the hub its worker's CPU counts. Then it
starts many servers, as an agent's harness starts one per window, and adds up their memory. It
prints a table and the goals, and writes .cache/bench-mcp.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench import processes
from bench.measure import machine, process_cpu_s
from bench.peers.ours import RAISED_LIMITS
from bench.peers.web import HttpSender
from bench.targets import Goal
from tests.support.guard import marked
from tests.support.node_side import NODE_PYTHON, HubWithNodes, Node, launcher, token_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CACHE: Final = Path(".cache").resolve()
OUT: Final = CACHE / "bench-mcp.json"
BODY: Final = "x" * 256
CONNECTIONS: Final = (1, 32)
CODE: Final = launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")
COMMAND: Final = [NODE_PYTHON, "-I", "-S", "-c", CODE]
META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}
IDLE_S: Final = 10.0


def request(number: int, method: str, **params: object) -> dict[str, Any]:
    """A request of the revision without sessions."""
    named = {**params, "_meta": META}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": named}


def tool(number: int, name: str, **arguments: object) -> dict[str, Any]:
    """A request that calls a tool."""
    return request(number, "tools/call", name=name, arguments=arguments)


class Server:
    """One `agent-bus mcp` over stdio, as alpha."""

    def __init__(self, node: Node) -> None:
        self._count = 0
        self.process = subprocess.Popen(
            [*COMMAND, "mcp", "--as", "alpha"],
            env=marked(**node.env()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """The result of a request."""
        self._count += 1
        asked = request(self._count, method, **params)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "result" not in answer or answer["result"].get("isError"):
            raise RuntimeError(str(answer))
        found: dict[str, Any] = answer["result"]
        return found

    def call(self, name: str, **arguments: object) -> dict[str, Any]:
        """The result of a tool."""
        return self.ask("tools/call", name=name, arguments=arguments)

    def close(self) -> None:
        """Close its stdin, and wait for its end."""
        self.process.communicate()


@dataclass
class Side:
    """One side of a comparison: CPU per call in each round, in microseconds."""

    name: str
    rounds_us: list[float] = field(default_factory=list)

    @property
    def us(self) -> float:
        """The median round."""
        return statistics.median(self.rounds_us)


@dataclass
class Comparison:
    """Two sides that took turns."""

    what: str
    usual: Side
    mcp: Side

    def line(self) -> str:
        """As a row of the table."""
        sides = "  ".join(f"{side.name} {side.us:>9.0f}" for side in (self.usual, self.mcp))
        return f"{self.what:28} {sides}   {self.mcp.us / self.usual.us:.3f} x"


def spent_s(*pids: int) -> float:
    """CPU of this process, of its children that have ended, and of these processes."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    others = sum(process_cpu_s(pid) for pid in pids)
    return time.process_time() + ended.ru_utime + ended.ru_stime + others


def measured(side: Side, count: int, work: Callable[[], None], *pids: int) -> None:
    """Do this many calls, and keep what each cost on the side of the agent."""
    began = spent_s(*pids)
    work()
    side.rounds_us.append((spent_s(*pids) - began) / count * 1e6)


def over_stdio(node: Node, *, rounds: int, calls: int) -> list[Comparison]:
    """A process per call against one server that is asked again and again."""
    arguments = {"send": ["beta", BODY], "inbox": []}
    fields = {"send": {"to": "beta", "body": BODY}, "inbox": {}}
    found = [Comparison(f"{name}, agent's side", Side("CLI"), Side("stdio")) for name in arguments]
    commands = max(calls // 20, 5)
    server = Server(node)
    pid = server.process.pid
    server.call("status")

    def run(name: str) -> None:
        for _ in range(commands):
            done = node.cli(name, "--as", "alpha", *arguments[name])
            if done.returncode:
                raise RuntimeError(done.stderr)

    def ask(name: str) -> None:
        for _ in range(calls):
            server.call(name, **fields[name])

    try:
        for _ in range(rounds):
            for name, one in zip(arguments, found, strict=True):
                measured(one.usual, commands, functools.partial(run, name), pid)
                measured(one.mcp, calls, functools.partial(ask, name), pid)
    finally:
        server.close()
    return found


class Web:
    """Keep-alive connections to the hub, as alpha; each has one request in flight."""

    def __init__(self, hub: HubWithNodes, count: int) -> None:
        token = token_of("n1")
        self._clients = [HttpSender(hub.port, token=token, sender="alpha") for _ in range(count)]
        plain = {"from": "alpha", "to": "beta", "body": BODY}
        called = tool(1, "send", to="beta", body=BODY)
        modern = (
            "Accept: application/json, text/event-stream\r\nAgent-Bus-Agent: alpha\r\n"
            "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: send\r\n"
        )
        self.send = (_posted("/api/send", token, "", plain), 201)
        self.mcp = (_posted("/mcp", token, modern, called), 200)

    async def calls(self, kind: tuple[bytes, int], count: int) -> None:
        """Share this many calls out among the connections."""
        posted, status = kind

        async def one(client: HttpSender) -> None:
            for _ in range(count // len(self._clients)):
                answer = await client.request(posted, status)
                if b'"isError":true' in answer or b'"error"' in answer:
                    raise RuntimeError(answer.decode())

        await asyncio.gather(*(one(client) for client in self._clients))

    async def close(self) -> None:
        """Close all."""
        for client in self._clients:
            await client.close()


def _posted(path: str, token: str, more: str, body: dict[str, Any]) -> bytes:
    payload = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\n{more}Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


async def over_http(hub: HubWithNodes, *, rounds: int, calls: int) -> list[Comparison]:
    """The hub's CPU for a send by its own API and by MCP, over connections that stay open."""
    leader = hub.process.child.pid
    found = []
    for count in CONNECTIONS:
        what = f"send, hub, {count} connection{'s' * (count > 1)}"
        one = Comparison(what, Side("API"), Side("HTTP"))
        web = Web(hub, count)
        await web.calls(web.send, 10 * count)
        await web.calls(web.mcp, 10 * count)
        for _ in range(rounds):
            for side, kind in ((one.usual, web.send), (one.mcp, web.mcp)):
                began = processes.cpu_s(leader)
                await web.calls(kind, calls)
                spent = processes.cpu_s(leader) - began
                side.rounds_us.append(spent / (calls // count * count) * 1e6)
        await web.close()
        found.append(one)
    return found


def idle(node: Node, count: int) -> dict[str, float]:
    """What servers cost that do nothing: before their first call of a tool and after it."""
    servers, ready_ms, start_cpu_ms = [], [], []
    try:
        for _ in range(count):
            began = time.perf_counter()
            servers.append(Server(node))
            servers[-1].ask("tools/list")
            ready_ms.append((time.perf_counter() - began) * 1000)
            start_cpu_ms.append(process_cpu_s(servers[-1].process.pid) * 1000)
        pids = [server.process.pid for server in servers]
        found = {
            "ready_ms": statistics.median(ready_ms),
            "start_cpu_ms": statistics.mean(start_cpu_ms),
            "pss_mib": memory_mib(pids, "Pss") / count,
            "rss_mib": memory_mib(pids, "Rss") / count,
        }
        for server in servers:
            server.call("status")
        before = sum(process_cpu_s(pid) for pid in pids)
        time.sleep(IDLE_S)
        used = sum(process_cpu_s(pid) for pid in pids) - before
        found["used_pss_mib"] = memory_mib(pids, "Pss") / count
        found["used_rss_mib"] = memory_mib(pids, "Rss") / count
        found["all_pss_mib"] = memory_mib(pids, "Pss")
        found["idle_cpu_percent"] = used / IDLE_S * 100
    finally:
        for server in servers:
            server.close()
    return {name: round(value, 2) for name, value in found.items()}


def memory_mib(pids: list[int], kind: str) -> float:
    """Memory of processes together: `Pss` counts what they share once, `Rss` once for each."""
    kib = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{kind}:"):
                kib += int(line.split()[1])
    return kib / 1024


def goals(found: list[Comparison]) -> list[Goal]:
    """The goals of each comparison: of the agent's side a tenth, of the hub's 1.5 times."""
    lines = []
    for one in found:
        ratio = one.mcp.us / one.usual.us
        if one.mcp.name == "stdio":
            wanted = ">= 10 x less CPU"
            lines.append(Goal(one.what, wanted, 1 / ratio, 10, is_floor=True))
        else:
            lines.append(Goal(one.what, "<= 1.5 x the API's", ratio, 1.5))
    return lines


@contextlib.contextmanager
def fleet(folder: Path) -> Iterator[tuple[HubWithNodes, Node]]:
    """A hub whose limits let all through, and a node with alpha and beta."""
    hub = HubWithNodes(folder / "hub", {"n1": ("alpha", "beta")}, **RAISED_LIMITS)
    try:
        yield hub, Node(folder / "n1", "n1", hub.url, [{"name": "alpha"}, {"name": "beta"}])
    finally:
        hub.process.kill()


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=640, help="per round and side")
    parser.add_argument("--servers", type=int, default=200, help="idle ones at once")
    wanted = parser.parse_args()
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name, fleet(Path(name)) as (hub, node):
        at = machine(Path(name))
        found = over_stdio(node, rounds=wanted.rounds, calls=wanted.calls)
        found += asyncio.run(over_http(hub, rounds=wanted.rounds, calls=wanted.calls))
        memory = idle(node, wanted.servers)
    print(f"CPU per call, microseconds; median of {wanted.rounds} rounds in turns")
    print("\n".join(one.line() for one in found))
    print(f"{wanted.servers} idle servers: {json.dumps(memory)}")
    print("\n".join(goal.line() for goal in goals(found)))
    sides = [
        {"what": one.what, one.usual.name: one.usual.rounds_us, one.mcp.name: one.mcp.rounds_us}
        for one in found
    ]
    figures = {"machine": at, "per_call_us": sides, "servers": wanted.servers, "idle": memory}
    OUT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"written to {OUT}, at load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
