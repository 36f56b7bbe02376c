from __future__ import annotations

from typing import Any

from agent_bus_client.hub.hubs import Hubs
from agent_bus_client.hub.transport import HubClient
from agent_bus_client.settings import Agent, Settings
from agent_bus_client.waker.gateway import Gateway
from agent_bus_client.watcher.presence import PresenceThread
from tests.support.patience import wait_until
from tests.support.played_hub import PlayedHub


def test_a_hub_that_does_not_know_kinds_of_gateways_is_told_none() -> None:
    """The hub went back to an older release; its nodes must not count as dead because of that."""

    def older(_method: str, _path: str, body: Any) -> tuple[int, Any]:
        if "gateway_kind" in body:
            return 400, {"code": "invalid_request", "detail": "gateway_kind: unknown field"}
        return 204, None

    agents = (Agent("alpha", "command", ("true",)),)
    with PlayedHub(older) as played:
        settings = Settings("n1", played.url, agents, presence_interval_s=0.1)
        hubs = Hubs((HubClient(played.url, lambda: "secret"),))
        thread = PresenceThread(hubs, settings, Gateway(settings, lambda: "x"), lambda _: None)
        thread.start()
        wait_until(lambda: len(played.bodies) > 3, "it reports again and again")
        thread.stop()
        thread.join()
    told = ["gateway_kind" in body for body in played.bodies]
    assert told[0]
    assert not any(told[1:])
