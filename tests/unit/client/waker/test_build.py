from __future__ import annotations

import pytest

from agent_bus_client.agents import RUNTIMES, WAKERS, Agent, Turns
from agent_bus_client.settings import Settings
from agent_bus_client.waker.build import build
from agent_bus_client.waker.command import CommandWaker
from agent_bus_client.waker.gateway import Gateway
from agent_bus_client.waker.hook import HookWaker
from agent_bus_client.waker.turn import TurnWaker

KINDS = {
    "hook": HookWaker,
    "command": CommandWaker,
    "claude-code": TurnWaker,
    "codex": TurnWaker,
}


@pytest.mark.parametrize("waker", WAKERS)
def test_each_word_of_the_settings_has_its_waker(waker: str) -> None:
    turns = Turns("coder", "/work") if waker in RUNTIMES else None
    agent = Agent("alpha", waker, ("true",), turns)
    settings = Settings("n1", "http://hub:1", (agent,))
    built = build(agent, settings, Gateway(settings, lambda: "token"))
    assert type(built) is KINDS[waker]
