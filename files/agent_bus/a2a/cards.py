"""Agent cards: what the fleet and each of its agents offer, for clients of 1.0 and of 0.3.

One card has the fields of both versions. Pure: the base address comes from the call.
"""

from __future__ import annotations

from typing import Any, Final

_MODES: Final = ["text/plain", "application/json"]
_WHOSE: Final = (
    "A node's or guest's token of the bus, or the admin token. If its node has several agents, "
    "the header `Agent-Bus-Agent` says which of them asks."
)


def fleet(base: str, *, version: str) -> dict[str, Any]:
    """The hub's own card: it only leads to the agents' addresses."""
    return _card(
        f"{base}/a2a",
        name="agent-bus",
        version=version,
        words=f"A fleet of AI agents on one message bus. Each agent has its own address, "
        f"{base}/a2a/NAME/, with a card of its own; GET {base}/api/agents lists the names. "
        "A message to this address is refused with the agents' addresses.",
        skill={
            "id": "find-an-agent",
            "name": "Find an agent",
            "description": f"Take the card at {base}/a2a/NAME/.well-known/agent-card.json, and "
            "send to the address in it.",
            "tags": ["fleet", "directory"],
        },
    )


def agent(base: str, name: str, *, version: str) -> dict[str, Any]:
    """One agent's card."""
    return _card(
        f"{base}/a2a/{name}",
        name=name,
        version=version,
        words=f"The agent {name} of a fleet on one message bus. It is woken for each message and "
        "answers when it is done: SendMessage waits up to 4 s, then ask by GetTask.",
        skill={
            "id": "message",
            "name": f"Ask {name}",
            "description": f"Sends {name} a message; its reply completes the task. Text and JSON.",
            "tags": ["message"],
        },
    )


def _card(
    url: str, *, name: str, version: str, words: str, skill: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "description": words,
        "version": version,
        "supportedInterfaces": [
            {"url": url, "protocolBinding": binding, "protocolVersion": "1.0"}
            for binding in ("JSONRPC", "HTTP+JSON")
        ],
        "capabilities": {
            "streaming": False,
            "pushNotifications": False,
            "extendedAgentCard": False,
        },
        "securitySchemes": {
            "bearer": {
                "httpAuthSecurityScheme": {"scheme": "Bearer", "description": _WHOSE},
                "type": "http",
                "scheme": "bearer",
                "description": _WHOSE,
            }
        },
        "securityRequirements": [{"schemes": {"bearer": {"list": []}}}],
        "defaultInputModes": _MODES,
        "defaultOutputModes": _MODES,
        "skills": [skill],
        # From here on it is for clients of 0.3.
        "protocolVersion": "0.3.0",
        "url": url,
        "preferredTransport": "JSONRPC",
        "additionalInterfaces": [{"url": url, "transport": "JSONRPC"}],
        "security": [{"bearer": []}],
        "supportsAuthenticatedExtendedCard": False,
    }
