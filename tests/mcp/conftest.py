from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus_client.errors import HttpError
from tests.support.mcp_clients import EACH, KINDS, Kind, Led, StdioServer
from tests.support.node_side import NODE_PYTHON, HubWithNodes, Node, fetch, launcher, token_of
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AGENTS = ("alpha", "beta")


class Fleet:
    """A hub, the node n1 with alpha and beta, and the node n2 with gamma; clients are alpha."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = HubWithNodes(folder / "hub", {"n1": AGENTS, "n2": ("gamma",)})
        self.node = Node(folder / "n1", "n1", self.hub.url, [{"name": name} for name in AGENTS])
        self._count = 0

    def by_gamma(self, method: str, path: str, body: object = None) -> Any:
        """What the hub answers to gamma."""
        return self.hub.call(method, path, body, token_of("n2"))

    def by_alpha(self, method: str, path: str, body: object = None) -> Any:
        """What the hub answers to alpha, past MCP."""
        return self.hub.call(method, path, body, token_of("n1"))

    def inbox(self, of: str) -> list[dict[str, Any]]:
        """An agent's unread messages, without fetching them."""
        page = self.hub.call("GET", f"/api/inbox?agent={of}&peek=1")
        found: list[dict[str, Any]] = page["messages"]
        return found

    def from_gamma(self, body: str, **more: Any) -> str:
        """Send to alpha and return the message's id."""
        sent = self.by_gamma("POST", "/api/send", {"to": "alpha", "body": body, **more})
        return str(sent["id"])

    def tidy(self) -> None:
        """Mark all mail of alpha and gamma as read."""
        for agent, call in (("alpha", self.by_alpha), ("gamma", self.by_gamma)):
            if ids := [message["id"] for message in self.inbox(agent)]:
                call("POST", "/api/ack", {"agent": agent, "ids": ids})

    def hub_goes(self) -> None:
        """Kill the hub, and wait until nobody answers at its port."""
        self.hub.process.kill()

        def is_gone() -> bool:
            try:
                fetch(self.hub.url, "/livez")
            except ConnectionError:
                return True
            except HttpError:  # cut off in the moment of its end
                return False
            return False

        wait_until(is_gone, "the hub's port is closed")

    def new_folder(self) -> Path:
        """An empty folder."""
        self._count += 1
        made = self.folder / str(self._count)
        made.mkdir()
        return made

    def stdio(self, *, agent: str = "alpha") -> StdioServer:
        """`agent-bus mcp` of the node n1."""
        code = launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")
        argv = [NODE_PYTHON, "-I", "-S", "-c", code, "mcp", "--as", agent]
        return StdioServer(argv, self.node.env(), self.new_folder())

    def http(self, *, token: str = token_of("n1"), agent: str = "alpha") -> dict[str, Any]:
        """The hub's MCP, in an order for a client."""
        headers = {"Authorization": f"Bearer {token}", "Agent-Bus-Agent": agent}
        return {"url": f"{self.hub.url}/mcp", "headers": headers}


@dataclass
class Way:
    """A kind of client, and how it reaches the bus."""

    kind: Kind
    over: str
    """stdio or http."""
    fleet: Fleet

    def __str__(self) -> str:
        return f"{self.kind}-{self.over}"

    def client(self) -> Led:
        """A new client as alpha."""
        to = self.fleet.http() if self.over == "http" else self.fleet.stdio().order()
        return Led(self.kind, to, self.fleet.new_folder())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(tmp_path_factory.mktemp("fleet"))
    yield made
    made.hub.process.kill()


@pytest.fixture(autouse=True)
def no_mail_of_other_tests(fleet: Fleet) -> None:
    fleet.tidy()


@pytest.fixture(
    scope="module",
    params=[(kind, over) for over in ("stdio", "http") for kind in KINDS],
    ids=lambda one: f"{one[0]}-{one[1]}",
)
def way(request: pytest.FixtureRequest, fleet: Fleet) -> Way:
    kind, over = request.param
    return Way(kind, over, fleet)


@pytest.fixture(scope="module")
def client(way: Way) -> Iterator[Led]:
    """One client for the tests of a module; it has to close without a fault."""
    with way.client() as led:
        yield led


@pytest.fixture(params=EACH, ids=str)
def each(request: pytest.FixtureRequest) -> Kind:
    """Each official client."""
    found: Kind = request.param
    return found
