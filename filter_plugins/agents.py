"""The agents of a host, which the inventory lists as names or as mappings with a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Listed = str | dict[str, Any]
TURN_WAKERS = ("claude-code", "codex")


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
    others = [agent for agent in ordered if not _has_command(agent)]
    return [agent["name"] for agent in others if agent.get("waker") not in TURN_WAKERS]


def woken_by_turns(agents: Iterable[Listed]) -> list[dict[str, Any]]:
    """Return the agents whose runtime is started for each turn, as mappings."""
    return [agent for agent in agent_mappings(agents) if agent.get("waker") in TURN_WAKERS]


def needs_openclaw(agents: Iterable[Listed]) -> bool:
    """Tell whether a host has an agent that OpenClaw wakes, or a command in its stead."""
    return any(agent.get("waker") not in TURN_WAKERS for agent in agent_mappings(agents))


def turn_users(agents: Iterable[Listed]) -> list[str]:
    """Return the users that these turns run as, each once."""
    return list(dict.fromkeys(str(agent.get("user")) for agent in woken_by_turns(agents)))


def bus_owner(agents: Iterable[Listed], openclaw_user: str) -> str:
    """Return the user that owns the outbox and has the first token.

    That is the gateway's user, unless the host has no agent that needs one.
    """
    listed = list(agents)
    return openclaw_user if needs_openclaw(listed) or not listed else turn_users(listed)[0]


def turn_dropins(agents: Iterable[Listed]) -> list[dict[str, Any]]:
    """Return entries for module host_files: who takes the turns of each agent."""
    entries: list[dict[str, Any]] = []
    for agent in woken_by_turns(agents):
        folder = f"/etc/systemd/system/agent-bus-turn@{agent['name']}.service.d"
        content = f"[Service]\nUser={agent['user']}\n"
        entries.append({"path": folder, "state": "directory", "mode": "0755"})
        entries.append({"path": f"{folder}/agent.conf", "content": content, "mode": "0644"})
    return entries


def cli_tokens(users: Iterable[str], token: str) -> list[dict[str, Any]]:
    """Return entries for module host_files: the node's token for each user of the bus."""
    return [
        {
            "path": f"/etc/agent-bus/cli/{user}.token",
            "content": f"{token}\n",
            "owner": user,
            "mode": "0400",
            "secret": True,
        }
        for user in users
    ]


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
            "woken_by_turns": woken_by_turns,
            "needs_openclaw": needs_openclaw,
            "turn_users": turn_users,
            "turn_dropins": turn_dropins,
            "bus_owner": bus_owner,
            "cli_tokens": cli_tokens,
        }
