"""Chooses each agent's waker by its settings."""

from __future__ import annotations

from agent_bus_client.waker.command import CommandWaker
from agent_bus_client.waker.hook import HookWaker

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from agent_bus_client.agents import Agent
    from agent_bus_client.settings import Settings
    from agent_bus_client.waker.gateway import Gateway
    from agent_bus_client.waker.outcome import Waker


def build(agent: Agent, settings: Settings, gateway: Gateway) -> Waker:
    """Return the agent's waker."""
    if agent.uses_gateway:
        return HookWaker(agent, gateway)
    if agent.turns:
        from pathlib import Path

        from agent_bus_client.waker.turn import TurnWaker  # with `socket`, which few nodes need

        return TurnWaker(agent, Path(settings.turn_dir))
    return CommandWaker(agent, timeout_s=settings.command_timeout_s)
