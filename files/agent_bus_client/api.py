"""The words that the hub's API and this client share, in one place.

Those that stand in what is told of mail are in agent_bus_mcp/words/terms.py.
"""

from __future__ import annotations

from agent_bus_mcp.words.terms import Word


class StreamEvent(Word):
    """The types of events on `GET /api/stream`."""

    HELLO = "hello"
    MESSAGE = "message"
    MAILBOX = "mailbox"
    WAKE = "wake"
    PROBE = "probe"
    RESET = "reset"
    BYE = "bye"


class ByeReason(Word):
    """Why the hub ends a stream, as far as it matters here."""

    LIFETIME = "lifetime"
    SUPERSEDED = "superseded"
    REVOKED = "revoked"


class WakeEvent(Word):
    """What one line of `POST /api/wakes` reports."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    COALESCED = "coalesced"
    ESCALATED = "escalated"
    FAILED = "failed"
    OVERDUE = "overdue"
    PROBED = "probed"


class GatewayState(Word):
    """What a presence report says of an agent's gateway."""

    OK = "ok"
    DOWN = "down"


class GatewayKind(Word):
    """When a gateway starts a woken turn: see watcher/gateway_kind.py."""

    UNKNOWN = "unknown"
    HEARTBEAT = "heartbeat"
    FOLLOW_UP = "follow-up"


class Problem(Word):
    """The codes of the problems that this client reacts to."""

    COMMIT_UNKNOWN = "commit_unknown"
    FORBIDDEN = "forbidden"
    INVALID_CURSOR = "invalid_cursor"
    INVALID_REQUEST = "invalid_request"
    NOT_ALLOWED = "not_allowed"
    THREAD_BUDGET_EXHAUSTED = "thread_budget_exhausted"
    TLS_REQUIRED = "tls_required"
    UNKNOWN_AGENT = "unknown_agent"
    UNKNOWN_MESSAGE = "unknown_message"
