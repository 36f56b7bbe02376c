"""What a wake ends with, and what every way of waking offers.

What an outcome means for the next try is decided in watcher/episode.py.
"""

from __future__ import annotations

from enum import Enum

from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Optional, Protocol
else:
    Protocol = object


class Status(Enum):
    """How a wake ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """Try again soon."""
    UNCLEAR = "unclear"
    """The request was sent, but no whole answer came: it may have been accepted."""
    REJECTED = "rejected"
    """It will be rejected again until somebody changes a setting."""


class Outcome(Record):
    """What became of one wake.

    Attributes:
        coalesced: the gateway still had the same text waiting.
        reason: short and stable, for people who read the hub's page; empty when accepted. Nothing
            is decided by it.
        fix: what the operator has to do; only when rejected.
        http_status: what the gateway answered; None without an answer.
        retry_after_s: what the gateway asked for.
        duration_ms: how long the call took.
        detail: which address did what, for the log; empty where nothing is known.
        main_turn: the wake asked for a turn of the agent's main session, which the gateway may put
            off.
        busy_s: how long the turn may still take behind which this wake waits.
        older_gateway: the gateway is older than 2026.8.1 and woke its default agent.
    """

    status: Status
    coalesced: bool = False
    reason: str = ""
    fix: str = ""
    http_status: Optional[int] = None
    retry_after_s: Optional[float] = None
    duration_ms: int = 0
    detail: str = ""
    main_turn: bool = False
    busy_s: float = 0.0
    older_gateway: bool = False

    @property
    def is_accepted(self) -> bool:
        """Whether the agent will take a turn for it."""
        return self.status is Status.ACCEPTED


class Waker(Protocol):
    """One agent's way to be woken.

    A wake blocks until it has an outcome, so the watcher runs one thread per agent for it.
    """

    def wake(self) -> Outcome:
        """Wake the agent; blocks."""

    def escalate(self) -> Outcome | None:
        """Wake it in a way that other agents' turns cannot hold up; None: there is no such way."""

    def check(self) -> Outcome:
        """Say whether a wake would be accepted now, without waking anything."""

    def close(self) -> None:
        """Give up what is running; called from another thread."""
