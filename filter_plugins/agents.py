"""The agents of a host, which the inventory lists as names or as mappings with a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Listed = str | dict[str, Any]


def agent_mappings(agents: Iterable[Listed]) -> list[dict[str, Any]]:
    """Return each agent as a mapping with its name and what the inventory says of it."""
    return [agent if isinstance(agent, dict) else {"name": agent} for agent in agents]


def agent_names(agents: Iterable[Listed]) -> list[str]:
    """Return the agents' names."""
    return [agent["name"] for agent in agent_mappings(agents)]


def woken_by_command(agents: Iterable[Listed]) -> list[str]:
    """Return the names of the agents that a command wakes, with the watcher's own rights."""
    return [agent["name"] for agent in agent_mappings(agents) if _has_command(agent)]


def woken_by_gateway(agents: Iterable[Listed]) -> list[str]:
    """Return the names of the agents that the host's OpenClaw gateway wakes.

    Names come before mappings, those with a `waker` last: the order that each gateway's settings
    have had, so that an upgrade changes nothing there.
    """
    plain_first = sorted(agents, key=lambda agent: isinstance(agent, dict))
    ordered = sorted(agent_mappings(plain_first), key=lambda agent: "waker" in agent)
    return [agent["name"] for agent in ordered if not _has_command(agent)]


def _has_command(agent: Mapping[str, Any]) -> bool:
    return agent.get("waker") == "command"


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "agent_mappings": agent_mappings,
            "agent_names": agent_names,
            "woken_by_command": woken_by_command,
            "woken_by_gateway": woken_by_gateway,
        }
