"""The bus under test: any that speaks the API, named by its address and admin token.

    AGENT_BUS_URL=http://hub:8091 AGENT_BUS_ADMIN_TOKEN_FILE=/path pytest tests/conformance

Without these, hubs of this repository are started, one on each store. The suite replaces the
roster of the bus that it is pointed at, so point it at one without agents of its own.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.support.hub import ADMIN, Client, HubProcess, Reply, StreamReader, digest

if TYPE_CHECKING:
    from collections.abc import Iterator

_STORES = ["given"] if "AGENT_BUS_URL" in os.environ else ["sqlite", "postgres"]


@dataclass
class Bus:
    """A bus at an address, with a fleet of its own: node `left` with a and b, `right` with c.

    All names carry a random part, so that the suite can run again on the same bus.
    """

    host: str
    port: int
    admin: str
    run: str = field(default_factory=lambda: secrets.token_hex(3))
    opened: list[Client | StreamReader] = field(default_factory=list)

    def name(self, short: str) -> str:
        """An agent's name in this run."""
        return f"{short}-{self.run}"

    def token(self, node: str) -> str:
        """A node's token in this run."""
        return f"conformance-{node}-{self.run}"

    def client(self, node: str | None) -> Client:
        """A client of a node; None for the admin's."""
        token = self.admin if node is None else self.token(node)
        client = Client(self.port, token, host=self.host)
        self.opened.append(client)
        return client

    def stream(self, node: str, query: str = "", last_event_id: str = "") -> StreamReader:
        """An open stream of a node."""
        token = self.token(node)
        reader = StreamReader(self.port, token, query, last_event_id, host=self.host)
        self.opened.append(reader)
        return reader

    def enrol(self, **more: object) -> Reply:
        """Put this run's roster."""
        homes = {"a": "left", "b": "left", "c": "right", "d": "other"}
        roster = {
            "agents": [
                {"name": self.name(short), "node": f"{node}-{self.run}"}
                for short, node in homes.items()
            ],
            "tokens": [
                {"node": f"{node}-{self.run}", "sha256": [digest(self.token(node))]}
                for node in sorted(set(homes.values()))
            ],
            "groups": {f"pair-{self.run}": [self.name("b"), self.name("c")]},
            "force": True,
            **more,
        }
        return self.client(None).call("PUT", "/api/agents", roster)

    def hang_up(self) -> None:
        """Close every client and stream."""
        while self.opened:
            self.opened.pop().close()


@pytest.fixture(scope="session", params=_STORES)
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int, str]]:
    """(host, port, admin token) of the bus under test."""
    url = os.environ.get("AGENT_BUS_URL")
    if url is not None:
        parts = urlsplit(url)
        token = Path(os.environ["AGENT_BUS_ADMIN_TOKEN_FILE"]).read_text(encoding="ascii")
        yield parts.hostname or "", parts.port or 80, token.strip()
        return
    hub = HubProcess(tmp_path_factory.mktemp("hub"), store=request.param)
    hub.start()
    try:
        yield "127.0.0.1", hub.port, ADMIN
    finally:
        hub.kill()


@pytest.fixture
def bus(address: tuple[str, int, str]) -> Iterator[Bus]:
    """The bus with a fresh fleet."""
    under_test = Bus(*address)
    assert under_test.enrol().status == 200
    yield under_test
    under_test.hang_up()
