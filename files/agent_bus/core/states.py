"""The words for states, hops and reasons: each set of them once.

They are Literal types instead of enums: SQL, JSON and the OpenAPI document hold these very words,
so nothing is converted, and comparing them is comparing strings. A word that is in no set fails
the type check.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Priority = Literal["normal", "high", "urgent"]
"""How urgent a message is, as its sender says; it only orders the inbox."""

AgentStatus = Literal[
    "online", "gateway-down", "deaf", "offline", "guest", "retired", "paused", "budget"
]
"""Whether an agent can be reached; a node is online, gateway-down, offline or guest. Paused and
over budget are agents that would be online otherwise: their mail waits for them."""
ONLINE: Final = "online"
GATEWAY_DOWN: Final = "gateway-down"
DEAF: Final = "deaf"
OFFLINE: Final = "offline"
GUEST: Final = "guest"
RETIRED: Final = "retired"
AGENT_STATUSES: Final[tuple[AgentStatus, ...]] = get_args(AgentStatus)

STORM: Final = "storm"
Reachability = Literal[AgentStatus, "storm"]
"""What a send says of each recipient: *storm* withholds the wake of this very delivery."""

HopName = Literal["stored", "pushed", "received", "accepted", "fetched", "read"]
"""The steps of a delivery's way, in order."""
STORED: Final = "stored"
PUSHED: Final = "pushed"
RECEIVED: Final = "received"
ACCEPTED: Final = "accepted"
FETCHED: Final = "fetched"
READ: Final = "read"

WakeEvent = Literal[
    "received", "accepted", "coalesced", "escalated", "failed", "overdue", "probed"
]
"""What a watcher reports of a wake; *received* and *accepted* are hops, too."""
COALESCED: Final = "coalesced"
ESCALATED: Final = "escalated"
FAILED: Final = "failed"
OVERDUE: Final = "overdue"
PROBED: Final = "probed"

StampKind = Literal["pushed", "received", "accepted", "failed", "escalated", "overdue"]
"""What is kept with a delivery after its commit: hops, and the outcome of its wake."""

HoldReason = Literal["paused", "muted", "budget"]
"""Why an agent is not woken; the one shown is the first of those that hold."""
PAUSED: Final = "paused"
MUTED: Final = "muted"
BUDGET: Final = "budget"
HOLD_REASONS: Final[tuple[HoldReason, ...]] = get_args(HoldReason)

WakeKind = Literal["wake", "escalation", "reminder", "urgent"]
"""What a counted wake was: an ordinary one, the second way to wake, one for mail that was fetched
but not read, and one for urgent mail past the budget."""
WAKE: Final = "wake"
ESCALATION: Final = "escalation"
REMINDER: Final = "reminder"
URGENT: Final = "urgent"

WebhookEvent = Literal["message", "read", "overdue"]
"""What webhooks tell: a delivery was stored, was read, or waits though its agent was woken."""
MESSAGE: Final = "message"
WEBHOOK_EVENTS: Final[tuple[WebhookEvent, ...]] = get_args(WebhookEvent)

GatewayKind = Literal["unknown", "heartbeat", "follow-up"]
"""What a gateway makes of a wake, as far as its watcher has seen."""
UNKNOWN: Final = "unknown"

ByeReason = Literal["shutdown", "superseded", "lifetime", "overflow", "revoked"]
"""Why a stream ends, as its peer is told."""
EndReason = Literal[ByeReason, "gone"]
"""Why a stream ends; one whose peer is gone says no bye."""
SHUTDOWN: Final = "shutdown"
SUPERSEDED: Final = "superseded"
LIFETIME: Final = "lifetime"
OVERFLOW: Final = "overflow"
REVOKED: Final = "revoked"
GONE: Final = "gone"

ResetReason = Literal["epoch", "ahead", "archived"]
"""Why a cursor cannot be resumed: another history, from the future, or too old."""
EPOCH: Final = "epoch"
AHEAD: Final = "ahead"
ARCHIVED: Final = "archived"
