"""The hub with everything on: authentication, validation, limits, one fsync per commit."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import processes
from bench.peers import AGENTS, FLEET, HOME
from bench.peers.shapes import CommandSender, KeySender, ReplySender
from bench.peers.web import HttpSender, HttpStream
from tests.support.certificates import Authority
from tests.support.hub import ADMIN, Client, HubProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[2]
IDLE = "idle"
"""A node whose only agent gets no mail: for streams that only wait."""
RAISED_LIMITS: dict[str, Any] = {
    "sends_per_s": 1_000_000.0,
    "send_burst": 1_000_000,
    "streams_per_token": 6000,
    "streams_total": 6000,
    "stream_lifetime_s": 86_400.0,
    # agents that write to each other thousands of times a second are a storm
    "storm_window_s": 0.001,
}
"""Only the numbers are others; the limiters still do their work."""


@dataclass
class MeasuredHub(HubProcess):
    """A hub that is asked with TLS where it has a certificate."""

    trust: ssl.SSLContext | None = None

    def is_ready(self) -> bool:
        """Whether /readyz answers 200."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"the hub ended with {self.process.returncode}: {self.log()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            client = Client(self.port, None, trust=self.trust)
            with contextlib.closing(client):
                return client.get("/readyz").status == 200
        return False

    def client(self, node: str | None = "n1") -> Client:
        """A client with a node's token; None for the admin's."""
        token = ADMIN if node is None else f"token-{node}"
        self.opened.append(Client(self.port, token, trust=self.trust))
        client = self.opened[-1]
        assert isinstance(client, Client)
        return client


class Ours:
    """One hub on loopback, of this tree or of the code in `files`."""

    name = "agent-bus"
    differs = ""
    per_agent = True
    is_slow = False

    def __init__(self, files: Path = ROOT / "files", *, tls: bool = False) -> None:
        self._files = files
        self._tls = tls
        self._trust: ssl.SSLContext | None = None
        self.hub = MeasuredHub(folder=None)  # type: ignore[arg-type] # set by start

    async def start(self, folder: Path) -> None:
        """Start the hub with the reference fleet."""
        known = (self._files / "agent_bus" / "settings.py").read_text(encoding="utf-8")
        settings = {name: value for name, value in RAISED_LIMITS.items() if f" {name}:" in known}
        if self._tls:
            authority = Authority(folder / "ca")
            settings |= authority.issue("hub")
            self._trust = ssl.create_default_context(cafile=str(authority.ca_file))
        # a program of its own, as it is served: a fork shares memory with what forked it
        paths = {"PYTHONPATH": str(self._files)}
        self.hub = MeasuredHub(folder, settings, environ=paths, store="sqlite", trust=self._trust)
        await asyncio.to_thread(self.hub.start)
        reply = await asyncio.to_thread(self.hub.enrol, {**FLEET, IDLE: (IDLE,)})
        if reply.status != 200:
            raise RuntimeError(str(reply.body))
        self.hub.hang_up()

    async def sender(self, agent: str) -> HttpSender:
        """A keep-alive client with the token of the agent's node."""
        token = f"token-{HOME[agent]}"
        return HttpSender(self.hub.port, token=token, sender=agent, trust=self._trust)

    async def key_sender(self, agent: str) -> KeySender:
        """A keep-alive client whose messages have keys."""
        return KeySender(self.hub.port, token=f"token-{HOME[agent]}", sender=agent)

    async def command_sender(self, agent: str) -> CommandSender:
        """A client that does what the command line does."""
        return CommandSender(self.hub.port, token=f"token-{HOME[agent]}", sender=agent)

    async def reply_sender(self, agent: str) -> ReplySender:
        """A keep-alive client that answers a message from another node."""
        partner = await self.sender(next(a for a in AGENTS if HOME[a] != HOME[agent]))
        first = await partner.post({"from": partner.agent, "to": agent, "body": "answer me"})
        await partner.close()
        sender = ReplySender(self.hub.port, token=f"token-{HOME[agent]}", sender=agent)
        sender.to, sender.reply_to = partner.agent, json.loads(first)["id"]
        return sender

    async def stream(
        self, agents: Sequence[str], arrived: Callable[[str], None], last_id: str = ""
    ) -> HttpStream:
        """The stream of the agents' node."""
        token = f"token-{HOME.get(agents[0], IDLE)}"
        return await HttpStream.open(
            self.hub.port,
            "/api/stream",
            token=token,
            arrived=arrived,
            last_id=last_id,
            trust=self._trust,
        )

    @property
    def pid(self) -> int:
        """The process that was started."""
        assert self.hub.process is not None
        return self.hub.process.pid

    def cpu_s(self) -> float:
        """CPU of all its processes so far."""
        return processes.cpu_s(self.pid)

    async def stop(self) -> None:
        """End the hub."""
        self.hub.hang_up()
        await asyncio.to_thread(self.hub.stop)
