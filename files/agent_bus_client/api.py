"""The words that the hub's API and this client share, in one place.

A member is equal to its text and prints as it. What the hub answers is compared with these words
and never converted to them: a newer hub may know more.
"""

from __future__ import annotations

from enum import Enum


class Word(str, Enum):
    """A word of the API."""

    def __str__(self) -> str:
        """Return the word itself; before Python 3.11 there is no StrEnum that does."""
        return str(self.value)


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


class Stamp(Word):
    """The fields of a delivery that say when it took a hop."""

    STORED = "stored_at"
    PUSHED = "pushed_at"
    RECEIVED = "received_at"
    ACCEPTED = "accepted_at"
    WAKE_FAILED = "wake_failed_at"
    ESCALATED = "escalated_at"
    OVERDUE = "overdue_at"
    FETCHED = "fetched_at"
    READ = "read_at"


class Presence(Word):
    """Whether an agent can be reached."""

    ONLINE = "online"
    GATEWAY_DOWN = "gateway-down"
    DEAF = "deaf"
    OFFLINE = "offline"
    RETIRED = "retired"


class GatewayState(Word):
    """What a presence report says of an agent's gateway."""

    OK = "ok"
    DOWN = "down"


class GatewayKind(Word):
    """When a gateway starts a woken turn: see watcher/gateway_kind.py."""

    UNKNOWN = "unknown"
    HEARTBEAT = "heartbeat"
    FOLLOW_UP = "follow-up"


class Priority(Word):
    """How urgent a message is."""

    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Problem(Word):
    """The codes of the problems that this client reacts to."""

    COMMIT_UNKNOWN = "commit_unknown"
    FORBIDDEN = "forbidden"
    INVALID_CURSOR = "invalid_cursor"
    THREAD_BUDGET_EXHAUSTED = "thread_budget_exhausted"
    TLS_REQUIRED = "tls_required"
    UNKNOWN_AGENT = "unknown_agent"
    UNKNOWN_MESSAGE = "unknown_message"
