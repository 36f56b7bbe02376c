"""The connection on which a hub hears rings, when the hub ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.store.postgres.cluster.ring import Listening
from agent_bus.store.postgres.link import connections
from agent_bus.store.postgres.link.address import Address
from tests.support import postgres
from tests.support.store import until

if TYPE_CHECKING:
    from pathlib import Path

    from agent_bus.store.postgres.link.connections import NativeConnection, Primary


@pytest.mark.parametrize("ends", ["before it is open", "after"])
def test_a_hub_that_ends_lets_go_of_it(
    ends: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun, may_go_on, is_open = threading.Event(), threading.Event(), threading.Event()
    opened: list[NativeConnection] = []

    def slow(address: Address, **options: Any) -> Primary:
        begun.set()
        may_go_on.wait()
        found = real(address, **options)
        opened.append(found.connection)
        is_open.set()
        return found

    real = connections.to_primary
    monkeypatch.setattr(connections, "to_primary", slow)
    listening = Listening(Address(postgres.database(tmp_path)), rung=lambda _: None)
    listening.start()
    until(begun.is_set, "it is being opened")
    if ends == "after":
        may_go_on.set()
        until(is_open.is_set, "it is open")
    listening.close()
    may_go_on.set()
    until(is_open.is_set, "it is open")
    until(lambda: opened[0].closed, "it is closed")
