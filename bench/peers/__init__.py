"""What is measured side by side: each peer stores durably, acknowledges, and delivers to streams.

All clients run in one asyncio process. So the client's own cost is the same for each peer, and one
monotonic clock times each message, from before the send to its arrival.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

FLEET: dict[str, tuple[str, ...]] = {
    f"node{n}": tuple(f"agent{n}-{k}" for k in range(3 if n == 0 else 2)) for n in range(9)
}
"""The reference fleet's shape: 19 agents on 9 nodes."""
AGENTS: tuple[str, ...] = tuple(agent for agents in FLEET.values() for agent in agents)
HOME: dict[str, str] = {agent: node for node, agents in FLEET.items() for agent in agents}


class NotAvailableError(Exception):
    """The peer is not available here; its rows say "not run", with this reason."""


class Sender(Protocol):
    """One keep-alive client."""

    async def send(self, to: Any, body: str) -> None:  # noqa: ANN401 - what the peer takes
        """Send to an agent, or to all if None; return once it is acknowledged as durable.

        The hub takes a list of agents, too.
        """

    async def close(self) -> None:
        """Hang up."""


class Stream(Protocol):
    """One node's open stream."""

    async def close(self) -> None:
        """Hang up."""


class Peer(Protocol):
    """A system under measurement."""

    name: str
    differs: str
    """What the hub does and this peer does not, said beside its figures."""
    per_agent: bool
    """Whether a broadcast arrives once per agent; otherwise it does once per node."""
    is_slow: bool
    """Whether a message at rest takes a second, so that few are enough."""

    async def start(self, folder: Path) -> None:
        """Start it with its files in `folder`.

        Raises:
            NotAvailableError: it cannot be had here.
        """

    async def sender(self, agent: str) -> Sender:
        """A client that sends as `agent`."""

    async def stream(self, agents: Sequence[str], arrived: Callable[[str], None]) -> Stream:
        """Subscribe to these agents (of one node)."""

    def cpu_s(self) -> float:
        """CPU that the server has used so far, in user and kernel mode."""

    async def stop(self) -> None:
        """End the processes that `start` began."""
