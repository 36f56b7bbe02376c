"""The paths of A2A: cards, and both bindings of each agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.a2a import cards, faults, rpc
from agent_bus.a2a.faults import A2AError
from agent_bus.a2a.rest import Rest
from agent_bus.http.call import Answer
from agent_bus.http.endpoint import with_raw
from agent_bus.http.route import Header, Route
from agent_bus.http.speaker import AGENT_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.a2a.desk import Desk
    from agent_bus.http.call import AnyCall, Call

CARD: Final = ".well-known/agent-card.json"
HEADERS: Final = (AGENT_HEADER, Header("Host"), Header("A2A-Version"))
CARD_HEADERS: Final = {"Cache-Control": "private, max-age=60"}


class Addresses:
    """The hub's card and the agents', and their JSON-RPC.

    Args:
        version: the release that runs.
        own_url: the hub's address, where a call does not say by which name it came.
    """

    def __init__(self, desk: Desk, *, version: str, own_url: str | None) -> None:
        self._desk = desk
        self._version = version
        self._own_url = own_url

    def fleet_card(self, call: Call[None, bytes]) -> Answer:
        """The hub's card."""
        return Answer(200, cards.fleet(self._base(call), version=self._version), CARD_HEADERS)

    def agent_card(self, call: Call[None, bytes]) -> Answer:
        """An agent's card."""
        name = self._desk.require(call, call.path["agent"])
        card = cards.agent(self._base(call), name, version=self._version)
        return Answer(200, card, CARD_HEADERS)

    def to_agent(self, call: Call[None, bytes]) -> Answer:
        """JSON-RPC to an agent."""
        return rpc.answer(self._desk, call, call.path["agent"])

    def to_fleet(self, call: Call[None, bytes]) -> Answer:
        """JSON-RPC to nobody in particular: says where the agents are."""
        base = self._base(call)
        words = (
            f"Each agent has its own address: {base}/a2a/NAME/. GET {base}/api/agents lists the "
            "names."
        )
        return rpc.refuse(call, A2AError(faults.UNSUPPORTED, words))

    def _base(self, call: AnyCall) -> str:
        host = call.headers.get("host")
        return f"{call.scheme}://{host}" if host else self._own_url or f"{call.scheme}://hub"


def routes(desk: Desk, *, version: str, own_url: str | None) -> list[Route]:
    """All routes of A2A."""
    addresses = Addresses(desk, version=version, own_url=own_url)
    rest = Rest(desk)
    stream, push = rest.unsupported("stream"), rest.unsupported("push")
    task = "/a2a/<agent>/tasks/<task_id>"
    configs = f"{task}/pushNotificationConfigs"
    return [
        _route("GET", f"/{CARD}", addresses.fleet_card),
        _route("GET", f"/a2a/{CARD}", addresses.fleet_card),
        _route("GET", f"/a2a/<agent>/{CARD}", addresses.agent_card),
        _route("POST", "/a2a", addresses.to_fleet),
        _route("POST", "/a2a/<agent>", addresses.to_agent),
        _route("POST", "/a2a/<agent>/message:send", rest.send),
        _route("POST", "/a2a/<agent>/message:stream", stream),
        _route("GET", "/a2a/<agent>/tasks", rest.page),
        _route("GET", task, rest.get),
        _route("POST", f"{task}:cancel", rest.cancel),
        _route("POST", f"{task}:subscribe", stream),
        _route("POST", configs, push),
        _route("GET", configs, push),
        _route("GET", f"{configs}/<config_id>", push),
        _route("DELETE", f"{configs}/<config_id>", push),
        _route("GET", "/a2a/<agent>/extendedAgentCard", rest.unsupported("extended_card")),
    ]


def _route(method: str, path: str, answer: Callable[[Call[None, bytes]], Answer]) -> Route:
    return Route(method, path, with_raw(answer), headers=HEADERS, at_root=True)
