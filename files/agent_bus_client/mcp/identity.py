"""Who speaks: `--as`, or the node's only agent. Never the environment, never the folder."""

from __future__ import annotations

import json

TYPE_CHECKING = False  # without `typing`, the start is a quarter shorter
if TYPE_CHECKING:
    from agent_bus_client.mcp.options import Options

OPERATOR = "operator"


def choose(wanted: str | None, agents: tuple[str, ...]) -> str:
    """Return the agent that speaks.

    Raises:
        ValueError: it is none of this node's agents, or it cannot be told which; in words.
    """
    known = ", ".join(agents)
    if wanted is not None:
        if wanted not in agents and wanted != OPERATOR:
            raise ValueError(
                f"{wanted} is not an agent of this node; its agents: {known}. Start this server"
                " with --as and one of them"
            )
        return wanted
    if len(agents) != 1:
        raise ValueError(
            f"which agent are you? This node has several: {known}. Start this server with --as"
            " and one of them"
        )
    return agents[0]


def instructions(options: Options) -> str:
    """Return what an agent should know; the settings are only looked at, not checked."""
    from agent_bus_mcp.instructions import nobody, somebody

    try:
        with open(options.config, encoding="utf-8") as file:
            agents = tuple(agent["name"] for agent in json.load(file)["agents"])
        return somebody(choose(options.agent, agents))
    except OSError as error:
        return nobody(f"{options.config}: {error.strerror}")
    except (ValueError, TypeError, KeyError) as error:
        known = isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError)
        return nobody(str(error) if known else f"{options.config} is not a node's settings")
