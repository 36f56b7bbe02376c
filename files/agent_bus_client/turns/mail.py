"""Asks the hub whether an agent has mail that no turn has fetched."""

from __future__ import annotations

import logging
import os
import pwd

from agent_bus_client import settings as node_settings
from agent_bus_client.errors import ClientError
from agent_bus_client.hub.hubs import Hubs
from agent_bus_client.net.deadline import Deadline
from agent_bus_client.turns.readiness import token_file

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from agent_bus_client.settings import Settings

logger = logging.getLogger(__name__)

ASK_S = 10.0


def waits(settings: Settings, agent: str) -> bool:
    """Return whether unfetched mail waits; True if the hub cannot be asked: no wake is lost."""
    try:
        hubs = Hubs.of(settings, lambda: _token(settings, agent), deadline=Deadline.after(ASK_S))
        roster = hubs.call("GET", "/api/agents", timeout_s=ASK_S)
        return any(one["name"] == agent and one["unfetched"] > 0 for one in roster["agents"])
    except (ClientError, OSError, KeyError) as error:
        extra = {"agent": agent, "reason": str(error)}
        logger.warning("hub was not asked whether mail waits, so a turn is taken", extra=extra)
        return True


def _token(settings: Settings, agent: str) -> str:
    user = pwd.getpwuid(os.geteuid()).pw_name
    return node_settings.read_token_file(token_file(settings.own_token_file(agent), user))
