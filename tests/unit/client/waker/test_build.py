from __future__ import annotations

import pytest

from agent_bus_client.settings import WAKERS, Agent, Settings
from agent_bus_client.waker.build import build
from agent_bus_client.waker.command import CommandWaker
from agent_bus_client.waker.gateway import Gateway
from agent_bus_client.waker.hook import HookWaker

KINDS = {"hook": HookWaker, "command": CommandWaker}


@pytest.mark.parametrize("waker", WAKERS)
def test_each_word_of_the_settings_has_its_waker(waker: str) -> None:
    agent = Agent("alpha", waker, ("true",))
    settings = Settings("n1", "http://hub:1", (agent,))
    built = build(agent, settings, Gateway(settings, lambda: "token"))
    assert type(built) is KINDS[waker]
