"""Which path leads to which endpoint; the server and the OpenAPI document are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_bus.web import schemas

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from agent_bus.web.api import Api
    from agent_bus.web.health import Health
    from agent_bus.web.http import Answer, Call
    from agent_bus.web.stream import Streams


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path below `/api`.

    `unprefixed` paths also answer without `/api`, as the first bus's clients ask for them.
    """

    method: str
    path: str
    endpoint: Callable[[Call], Answer]
    summary: str
    query: type[BaseModel] = schemas.NoQuery
    body: type[BaseModel] | None = None
    status: int = 200
    unprefixed: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it answers."""
        prefixed = f"/api{self.path}"
        return (prefixed, self.path) if self.unprefixed else (prefixed,)


def routes(*, api: Api, streams: Streams, health: Health) -> list[Route]:
    """All routes that need a token."""
    s = schemas
    return [
        Route("POST", "/send", api.send, "Send a message", body=s.SendBody, status=201,
              unprefixed=True),
        Route("GET", "/stream", streams.open, "Subscribe to events", query=s.StreamQuery),
        Route("GET", "/inbox", api.inbox, "Read an inbox", query=s.InboxQuery, unprefixed=True),
        Route("POST", "/ack", api.ack, "Mark messages as read", body=s.AckBody, unprefixed=True),
        Route("GET", "/history", api.history, "Read the past", query=s.HistoryQuery,
              unprefixed=True),
        Route("GET", "/messages/<message_id>", api.message, "One message with its timeline"),
        Route("GET", "/agents", api.agents, "Who is there and who can be reached",
              unprefixed=True),
        Route("PUT", "/agents", api.put_agents, "Replace the roster (admin)",
              query=s.RosterQuery, body=s.RosterBody),
        Route("POST", "/presence", api.presence, "A watcher's sign of life",
              body=s.PresenceBody, status=204),
        Route("POST", "/wakes", api.wakes, "A watcher's reports", body=s.WakesBody, status=204),
        Route("POST", "/probes", api.probes, "Ask whether agents can be woken (admin)",
              body=s.ProbeBody),
        Route("GET", "/stats", health.stats, "Figures", unprefixed=True),
    ]  # fmt: skip
