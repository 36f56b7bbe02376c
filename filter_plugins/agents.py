"""The agents of a host, which the inventory lists as names or as mappings with a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Listed = str | dict[str, Any]
TURN_WAKERS = ("claude-code", "codex")
OWN_TOKENS = "/etc/agent-bus/tokens"
OF_THE_ROLLOUT = ("own_token", "token_user")
"""What the inventory says of an agent and the node's settings say in other words."""


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
    """Return the users beside the gateway's: those that turns run as, and `token_user`s."""
    listed = agent_mappings(agents)
    users = [str(agent.get("user")) for agent in woken_by_turns(listed)]
    users += [str(agent["token_user"]) for agent in listed if "token_user" in agent]
    return list(dict.fromkeys(users))


def bus_owner(agents: Iterable[Listed], openclaw_user: str) -> str:
    """Return the user that owns the outbox and has the first token.

    That is the gateway's user, unless the host has no agent that needs one.
    """
    listed = list(agents)
    return openclaw_user if needs_openclaw(listed) or not listed else turn_users(listed)[0]


def turn_dropins(agents: Iterable[Listed], openclaw_user: str) -> list[dict[str, Any]]:
    """Return entries for module host_files: who takes the turns of each agent, by which token.

    A service that takes turns has read its settings. So what is another one for it stands here: a
    change of these files ends it, and the next wake starts it anew.
    """
    entries: list[dict[str, Any]] = []
    own = own_token_users(agents, openclaw_user)
    for agent in woken_by_turns(agents):
        folder = f"/etc/systemd/system/agent-bus-turn@{agent['name']}.service.d"
        content = f"[Service]\nUser={agent['user']}\n"
        if agent["name"] in own:
            content += f"Environment=AGENT_BUS_TOKEN_FILE={OWN_TOKENS}/{agent['name']}\n"
        entries.append({"path": folder, "state": "directory", "mode": "0755"})
        entries.append({"path": f"{folder}/agent.conf", "content": content, "mode": "0644"})
    return entries


def agent_users(agents: Iterable[Listed], openclaw_user: str) -> dict[str, str]:
    """Return the user that runs each agent's command line."""
    return {
        agent["name"]: str(
            agent.get("token_user")
            or (agent.get("user") if agent.get("waker") in TURN_WAKERS else openclaw_user)
        )
        for agent in agent_mappings(agents)
    }


def own_token_users(agents: Iterable[Listed], openclaw_user: str) -> dict[str, str]:
    """Return the agents of a host that have a token of their own, and who alone may read it.

    By default that is whoever has a user of its own, which no other agent of the host shares.
    """
    listed = agent_mappings(agents)
    users = agent_users(listed, openclaw_user)
    found = {}
    for agent in listed:
        user = users[agent["name"]]
        has_own_user = agent.get("waker") in TURN_WAKERS or "token_user" in agent
        usual = has_own_user and list(users.values()).count(user) == 1
        if agent.get("own_token", usual):
            found[agent["name"]] = user
    return found


def own_token_agents(
    hostvars: Mapping[str, Mapping[str, Any]], nodes: Iterable[str]
) -> dict[str, str]:
    """Return the agents of these nodes that have a token of their own, and the node of each."""
    return {
        name: node
        for node in nodes
        for name in own_token_users(hostvars[node]["agents"], openclaw_user_of(hostvars[node]))
    }


def openclaw_user_of(variables: Mapping[str, Any]) -> str:
    """Return the user that runs OpenClaw on a host, as role bus_watcher takes it."""
    named = variables.get("bus_watcher_openclaw_user") or variables.get("openclaw_user")
    return str(named or "openclaw")


def own_token_leftovers(
    files: Iterable[str],
    own: Mapping[str, str],
    *,
    hostvars: Mapping[str, Mapping[str, Any]],
    nodes: Iterable[str],
    passed: Iterable[str],
) -> list[str]:
    """Return the files of agents' own tokens on the control node that are of no use any more.

    `NAME.token.old` is the token before, and `NAME.token.node` says that the node's token speaks
    for the agent, too: both until the agent's node has what it should have. The token of an agent
    that is to have none any more counts as long.

    Args:
        files: all in the folder.
        own: what `own_token_agents` says.
        hostvars: Ansible's own.
        nodes: the hosts with agents.
        passed: those that are as they should be.
    """
    homes = {name: node for node in nodes for name in agent_names(hostvars[node]["agents"])}
    there = set(passed)
    left = []
    for file in sorted(files):
        name, _, rest = file.rpartition("/")[2].partition(".token")
        is_wanted = name in own and not rest
        if name not in homes or (homes[name] in there and not is_wanted):
            left.append(file)
    return left


def node_agents(agents: Iterable[Listed], openclaw_user: str) -> list[dict[str, Any]]:
    """Return the agents as a node's settings name them."""
    own = own_token_users(agents, openclaw_user)
    return [
        {
            **{key: said for key, said in agent.items() if key not in OF_THE_ROLLOUT},
            **({"token_file": f"{OWN_TOKENS}/{agent['name']}"} if agent["name"] in own else {}),
        }
        for agent in agent_mappings(agents)
    ]


def node_token_users(agents: Iterable[Listed], openclaw_user: str) -> list[str]:
    """Return the users that get the node's token: who runs an agent that has none of its own."""
    own = own_token_users(agents, openclaw_user)
    users = agent_users(agents, openclaw_user)
    shared = [user for name, user in users.items() if name not in own]
    return list(dict.fromkeys(shared if users else [openclaw_user]))


def own_token_entries(own: Mapping[str, str], texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return entries for module host_files: a file per agent with a token of its own.

    Args:
        own: what `own_token_users` says.
        texts: the tokens, by the names of their files on the control node.
    """
    folder = [{"path": OWN_TOKENS, "state": "directory", "mode": "0755"}] if own else []
    return folder + [
        {
            "path": f"{OWN_TOKENS}/{name}",
            "content": f"{texts.get(f'{name}.token', '')}\n",
            "owner": user,
            "mode": "0400",
            "secret": True,
        }
        for name, user in own.items()
    ]


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
            "node_agents": node_agents,
            "node_token_users": node_token_users,
            "own_token_agents": own_token_agents,
            "own_token_entries": own_token_entries,
            "own_token_leftovers": own_token_leftovers,
            "own_token_users": own_token_users,
            "cli_tokens": cli_tokens,
        }
