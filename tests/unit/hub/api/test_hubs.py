"""What a hub says of all hubs, from its settings and from what the cluster knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent_bus.api.hubs import Hubs
from agent_bus.bus.auth import NOBODY
from agent_bus.core import errors
from agent_bus.http.call import Call
from agent_bus.operate.hubs.watch import HubsWatch
from agent_bus.settings import HubAddress, Settings
from agent_bus.store.cluster import Alone, HubFacts
from tests.support.clock import FakeClock

NO_VITALS: Any = None
"""A hub that is alone never asks them."""
A, B, C = (HubAddress(name=name, url=f"http://{name}:8091") for name in "abc")


class Known(Alone):
    """A cluster that knows these hubs."""

    def __init__(self, *facts: HubFacts) -> None:
        self._facts = list(facts)

    def hubs(self) -> list[HubFacts]:
        return self._facts


class OutOfReach(Alone):
    def hubs(self) -> list[HubFacts]:
        raise errors.NotReadyError("no primary")


def said(
    cluster: Alone, *hubs: HubAddress, name: str | None = "b", ready: bool = True, host: str = ""
) -> list[dict[str, Any]]:
    settings = Settings(
        database=Path("/d/bus.db"), admin_tokens_file=Path("/d/t"), name=name, hubs=hubs
    )
    watch = HubsWatch(
        settings=settings, cluster=cluster, vitals=NO_VITALS, clock=FakeClock(), version="1.2"
    )
    endpoint = Hubs(
        cluster=cluster, settings=settings, is_ready=lambda: ready, watch=watch, version="1.2"
    )
    answer = endpoint.read(Call(NOBODY, None, None, headers={"host": host} if host else {}))
    assert isinstance(answer.content, dict)
    found: list[dict[str, Any]] = answer.content["hubs"]
    return found


def test_an_only_hub_says_the_address_that_it_was_asked_by() -> None:
    assert said(Alone(), host="t440:8091") == [
        {
            "name": "b",
            "url": "http://t440:8091",
            "ready": True,
            "version": "1.2",
            "last_seen_at": None,
            "answers": True,
        }
    ]


def test_without_a_cluster_the_settings_say_who_there_is_and_nobody_how_they_are() -> None:
    found = said(Alone(), C, A, B, ready=False, host="another")
    assert [(one["name"], one["url"], one["ready"]) for one in found] == [
        ("a", "http://a:8091", None),
        ("b", "http://b:8091", False),
        ("c", "http://c:8091", None),
    ]
    assert [one["answers"] for one in found] == [False, True, False]


def test_a_cluster_tells_how_the_others_are() -> None:
    cluster = Known(
        HubFacts("a", "http://old:1", "1.1", is_alive=False, seen_at=0),
        HubFacts("b", None, "0", is_alive=True, seen_at=1000),
        HubFacts("d", "http://d:8091", "1.2", is_alive=True, seen_at=2000),
    )
    found = {one["name"]: one for one in said(cluster, A, B)}
    assert (found["a"]["url"], found["a"]["ready"]) == ("http://a:8091", False)
    assert found["a"]["last_seen_at"] is None
    assert (found["b"]["version"], found["b"]["ready"]) == ("1.2", True)
    assert (found["d"]["url"], found["d"]["ready"]) == ("http://d:8091", True)
    assert found["d"]["last_seen_at"] == "1970-01-01T00:00:02.000Z"


@pytest.mark.parametrize("cluster", [OutOfReach(), Known()])
def test_a_hub_that_reaches_no_database_says_what_it_can(cluster: Alone) -> None:
    found = said(cluster, A, B, ready=False)
    assert [(one["name"], one["ready"]) for one in found] == [("a", None), ("b", False)]
