"""The bus under test: any that speaks the API, named by its addresses and its admin's token.

    AGENT_BUS_URL=http://hub:8091 AGENT_BUS_ADMIN_TOKEN_FILE=/path pytest -n0 tests/conformance

Several hubs are one bus: `AGENT_BUS_URL=http://a:8091,http://b:8091` runs every test at each
address, and once more with each client and each stream at the next one. AGENT_BUS_CA_FILE is the
authority of https addresses.

Without AGENT_BUS_URL, hubs of this repository are started, one on each store. The suite replaces
the roster of the bus that it is pointed at, so point it at one without agents of its own.
"""

from __future__ import annotations

import itertools
import os
import secrets
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.support.hub import ADMIN, Client, HubProcess, Reply, StreamReader, digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_GIVEN = os.environ.get("AGENT_BUS_URL", "").replace(",", " ").split()
_IN_TURN = ["in turn"] if len(_GIVEN) > 1 else []
_WHERE = [*_GIVEN, *_IN_TURN] or ["sqlite", "postgres"]
_PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    """Where a hub is, and by what it is trusted if it speaks TLS."""

    host: str
    port: int
    trust: ssl.SSLContext | None = None


@dataclass
class Bus:
    """A bus with a fleet of its own: node `left` has a and b, `right` has c, `other` has d.

    All names carry a random part, so that the suite can run again on the same bus. Each client
    and each stream takes the next address.
    """

    addresses: Iterator[Address]
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
        at = next(self.addresses)
        client = Client(at.port, token, host=at.host, trust=at.trust)
        self.opened.append(client)
        return client

    def stream(self, node: str, query: str = "", last_event_id: str = "") -> StreamReader:
        """An open stream of a node."""
        at, token = next(self.addresses), self.token(node)
        reader = StreamReader(at.port, token, query, last_event_id, host=at.host, trust=at.trust)
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


@pytest.fixture(scope="session", params=_WHERE)
def hubs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Sequence[Address], str]]:
    """The addresses of the bus under test, and its admin's token."""
    if _GIVEN:
        token = Path(os.environ["AGENT_BUS_ADMIN_TOKEN_FILE"]).read_text(encoding="ascii")
        urls = _GIVEN if request.param in _IN_TURN else [request.param]
        yield [given(url) for url in urls], token.strip()
        return
    hub = HubProcess(tmp_path_factory.mktemp("hub"), store=request.param)
    hub.start()
    try:
        yield [Address("127.0.0.1", hub.port)], ADMIN
    finally:
        hub.kill()


def given(url: str) -> Address:
    """The address that a URL names."""
    parts = urlsplit(url)
    trust = None
    if parts.scheme == "https":
        trust = ssl.create_default_context(cafile=os.environ.get("AGENT_BUS_CA_FILE"))
    return Address(parts.hostname or "", parts.port or _PORTS[parts.scheme], trust)


@pytest.fixture
def bus(hubs: tuple[Sequence[Address], str]) -> Iterator[Bus]:
    """The bus with a fresh fleet."""
    addresses, admin = hubs
    under_test = Bus(itertools.cycle(addresses), admin)
    assert under_test.enrol().status == 200
    yield under_test
    under_test.hang_up()
