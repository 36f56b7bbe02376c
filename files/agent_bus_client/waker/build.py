"""Chooses each agent's waker by its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus_client.waker.command import CommandWaker
from agent_bus_client.waker.hook import HookWaker

if TYPE_CHECKING:
    from agent_bus_client.settings import Agent, Settings
    from agent_bus_client.waker.gateway import Gateway
    from agent_bus_client.waker.outcome import Waker


def build(agent: Agent, settings: Settings, gateway: Gateway) -> Waker:
    """Return the agent's waker."""
    if agent.uses_gateway:
        return HookWaker(agent, gateway)
    return CommandWaker(agent, timeout_s=settings.command_timeout_s)
