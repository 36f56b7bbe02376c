"""The words of the hub's API that stand in what is told.

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


class Stamp(Word):
    """The fields of a delivery that say when it took a hop."""

    STORED = "stored_at"
    PUSHED = "pushed_at"
    RECEIVED = "received_at"
    ACCEPTED = "accepted_at"
    WAKE_FAILED = "wake_failed_at"
    ESCALATED = "escalated_at"
    OVERDUE = "overdue_at"
    HELD = "held_at"
    LET_GO = "let_go_at"
    FETCHED = "fetched_at"
    READ = "read_at"


class Presence(Word):
    """Whether an agent can be reached."""

    ONLINE = "online"
    GATEWAY_DOWN = "gateway-down"
    DEAF = "deaf"
    OFFLINE = "offline"
    GUEST = "guest"
    RETIRED = "retired"
    PAUSED = "paused"
    BUDGET = "budget"


class Priority(Word):
    """How urgent a message is."""

    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


STORM = "storm"  # in place of a presence, in the answer to a send: this very message wakes nobody
