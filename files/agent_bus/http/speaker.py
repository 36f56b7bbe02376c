"""Which agent speaks, where the request itself has no field for it: MCP and A2A.

A node's token may speak for several agents. Clients of these protocols can all be told to send a
fixed header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.core import errors
from agent_bus.http.route import Header

if TYPE_CHECKING:
    from agent_bus.bus.auth import Authenticator
    from agent_bus.core.model import AgentName
    from agent_bus.http.call import AnyCall

AGENT_HEADER: Final = Header(
    "Agent-Bus-Agent",
    "The agent that speaks; needed where the token's node has several agents. The admin token is "
    "the operator's and needs none.",
)
SPEAKS: Final = (
    errors.SenderAmbiguousError,
    errors.UnknownAgentError,
    errors.ForbiddenError,
)
"""The problems of a call whose speaker cannot be told."""


def speaker(call: AnyCall, auth: Authenticator) -> AgentName:
    """The agent that a call speaks for; its route lists `AGENT_HEADER`.

    Raises:
        errors.SenderAmbiguousError: no header, and the token has not exactly one agent.
        errors.UnknownAgentError: nobody has the name in the header.
        errors.ForbiddenError: the name is another node's agent.
    """
    name = call.headers.get(AGENT_HEADER.key, "").strip()
    return auth.require_agent(call.principal, name or None, field=AGENT_HEADER.name)


def may_be(agent: AgentName, call: AnyCall, auth: Authenticator) -> bool:
    """Whether a call is this agent's: its token speaks for it, and no header names another one.

    Raises:
        errors.UnknownAgentError: nobody has the name in the header.
        errors.ForbiddenError: the name is another node's agent.
    """
    if call.headers.get(AGENT_HEADER.key, "").strip():
        return speaker(call, auth) == agent
    return auth.owns(call.principal, agent)
