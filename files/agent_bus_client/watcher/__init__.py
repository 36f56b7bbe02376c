"""The watcher: one process per node that wakes its agents when mail comes for them."""

from __future__ import annotations

import logging

from agent_bus_client import logs, settings
from agent_bus_client.errors import SettingsError
from agent_bus_client.hub import stream, trouble
from agent_bus_client.hub.hubs import Hubs
from agent_bus_client.net import lookup
from agent_bus_client.outbox import clock, draining
from agent_bus_client.waker.gateway import Gateway
from agent_bus_client.watcher.service import Watcher

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Callable

logger = logging.getLogger(__name__)

OWN = "agent-token-"
"""Names of the credentials with agents' own tokens begin so."""

LOADED = (stream, trouble, lookup, clock, draining)
"""Not only when something fails: by then, this release's folder may be gone."""


def main(config_path: str) -> int:
    """Run the watcher until it gets a signal to stop, and return its exit code.

    Exit codes: 0 stopped, 1 a thread died, 78 settings or credentials unusable.
    """
    logs.configure()
    try:
        config = settings.load(config_path)
        settings.read_secret("node-token")
        for name in _with_own_tokens(config):
            settings.read_secret(f"{OWN}{name}")
        if any(agent.uses_gateway for agent in config.agents):
            settings.read_secret("hook-token")
    except SettingsError as error:
        logger.critical("settings unusable: %s", error)
        return error.exit_code
    hubs = Hubs.of(config, lambda: settings.read_secret("node-token"))
    gateway = Gateway(config, lambda: settings.read_secret("hook-token"))
    own = {name: Hubs.of(config, _reader(f"{OWN}{name}")) for name in _with_own_tokens(config)}
    return Watcher(config, hubs, gateway, own=own).run()


def _with_own_tokens(config: settings.Settings) -> list[str]:
    """Return the agents whose mail in the outbox is sent with tokens of their own."""
    return [agent.name for agent in config.agents if agent.token_file]


def _reader(name: str) -> Callable[[], str]:
    return lambda: settings.read_secret(name)
