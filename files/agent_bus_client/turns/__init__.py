"""The turns of one agent whose runtime is not running otherwise: Claude Code or Codex.

systemd starts this program when the watcher connects to the agent's socket, as the user that the
inventory names. It runs one turn at a time and ends when there is nothing to do.
"""

from __future__ import annotations

import logging
from pathlib import Path

from agent_bus_client import logs, settings, systemd
from agent_bus_client.errors import EXIT_USAGE, SettingsError
from agent_bus_client.turns import mail
from agent_bus_client.turns.service import Service
from agent_bus_client.turns.turns import Turns

logger = logging.getLogger(__name__)


def main(config_path: str, name: str, *, state_dir: str, idle_s: float) -> int:
    """Answer wakes of one agent until there is nothing to do; return the exit code.

    Exit codes: 0 nothing to do, or stopped; 2 no such agent, or not started by its socket; 78
    settings unusable.
    """
    logs.configure()
    try:
        config = settings.load(config_path)
    except SettingsError as error:
        logger.critical("settings unusable: %s", error)
        return error.exit_code
    agent = next((agent for agent in config.agents if agent.name == name), None)
    if agent is None or agent.turns is None:
        logger.critical(
            "%s has no agent %s that is woken by turns: run site.yml", config_path, name
        )
        return EXIT_USAGE
    listener = systemd.listener()
    if listener is None:
        logger.critical("no socket: start agent-bus-turn@%s.socket, not this service", name)
        return EXIT_USAGE
    turns = Turns(agent, Path(state_dir), lambda: mail.waits(config, name))
    return Service(listener, turns, idle_s=idle_s).run()
