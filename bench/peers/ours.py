"""The hub with everything on: authentication, validation, limits, one fsync per commit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bench.peers import FLEET, HOME
from bench.peers.web import HttpSender, HttpStream
from tests.support.hub import HubProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

IDLE = "idle"
"""A node whose only agent gets no mail: for streams that only wait."""
RAISED_LIMITS: dict[str, Any] = {
    "sends_per_s": 1_000_000.0,
    "send_burst": 1_000_000,
    "streams_per_token": 6000,
    "streams_total": 6000,
}
"""Only the numbers are higher; the limiters still do their work."""


class Ours:
    """One hub process on loopback."""

    name = "agent-bus"
    differs = ""

    def __init__(self) -> None:
        self.hub = HubProcess(folder=None)  # type: ignore[arg-type] # set by start

    async def start(self, folder: Path) -> None:
        """Start the hub with the reference fleet."""
        self.hub = HubProcess(folder, dict(RAISED_LIMITS))
        await asyncio.to_thread(self.hub.start)
        reply = await asyncio.to_thread(self.hub.enrol, {**FLEET, IDLE: (IDLE,)})
        if reply.status != 200:
            raise RuntimeError(str(reply.body))
        self.hub.hang_up()

    async def sender(self, agent: str) -> HttpSender:
        """A keep-alive client with the token of the agent's node."""
        return HttpSender(self.hub.port, token=f"token-{HOME[agent]}", sender=agent)

    async def stream(
        self, agents: Sequence[str], arrived: Callable[[str], None], last_id: str = ""
    ) -> HttpStream:
        """The stream of the agents' node."""
        node = HOME.get(agents[0], IDLE)
        return await HttpStream.open(
            self.hub.port, "/api/stream", token=f"token-{node}", arrived=arrived, last_id=last_id
        )

    async def stop(self) -> None:
        """End the hub."""
        self.hub.hang_up()
        await asyncio.to_thread(self.hub.stop)
