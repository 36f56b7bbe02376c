"""Wakes one agent through the node's OpenClaw gateway."""

from __future__ import annotations

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from agent_bus_client.agents import Agent
    from agent_bus_client.waker.gateway import Gateway
    from agent_bus_client.waker.outcome import Outcome


class HookWaker:
    """The waker of one agent; the gateway behind it is shared by all agents of the node."""

    def __init__(self, agent: Agent, gateway: Gateway) -> None:
        self._agent = agent
        self._gateway = gateway

    def wake(self) -> Outcome:
        """See `Waker`."""
        return self._gateway.wake(self._agent)

    def escalate(self) -> Outcome | None:
        """See `Waker`."""
        return self._gateway.escalate(self._agent)

    def check(self) -> Outcome:
        """See `Waker`."""
        return self._gateway.check_hook()

    def close(self) -> None:
        """Nothing to give up: the process ends even while a call is open."""
