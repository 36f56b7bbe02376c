"""The fleet's facts as the API's rows; those of the dashboard are in `overview.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_bus.core.model import rfc3339

if TYPE_CHECKING:
    from agent_bus.operate.fleet import AgentFacts, NodeFacts


def agent(facts: AgentFacts) -> dict[str, Any]:
    """An entry of `agents`."""
    return {
        "name": facts.name,
        "node": facts.node,
        "status": facts.status,
        "problem": facts.problem,
        "watcher_version": facts.watcher_version,
        "last_seen_at": rfc3339(facts.last_seen_at),
        "unread": facts.unread,
        "unfetched": facts.unfetched,
        "oldest_unread_at": rfc3339(facts.oldest_unread_at),
        "last_wake_at": rfc3339(facts.last_wake_at),
        "muted_until": None if facts.hold is None else rfc3339(facts.hold.until_at),
        "held": None if facts.hold is None else facts.hold.reason,
    }


def node(facts: NodeFacts) -> dict[str, Any]:
    """An entry of `nodes`."""
    return {
        "node": facts.node,
        "guest": facts.guest,
        "agents": facts.agents,
        "connected": facts.connected,
        "watcher_version": facts.watcher_version,
        "gateway": facts.gateway,
        "gateway_kind": facts.gateway_kind,
        "stream_since": rfc3339(facts.stream_since),
        "last_seen_at": rfc3339(facts.last_seen_at),
        "unconfigured": facts.unconfigured,
    }
