"""What a receiver is told of an event: its id, and the JSON that is signed.

Both are made of what never changes, so that each attempt, at whichever hub, sends the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import states
from agent_bus.core.model import PRIORITIES, rfc3339

if TYPE_CHECKING:
    from agent_bus.core.states import WebhookEvent
    from agent_bus.store.outgoing import Waiting

TYPES: Final[dict[WebhookEvent, str]] = {
    states.MESSAGE: "message.stored",
    states.READ: "message.read",
    states.OVERDUE: "message.overdue",
}
TEST: Final = "webhook.test"


def event_id(webhook: str, event: Waiting) -> str:
    """Names one event for one webhook; it outlives restarts, takeovers and restores."""
    delivery = event.delivery
    return f"{webhook}_{event.kind}_{delivery.message.id}_{delivery.agent}"


def body(event: Waiting, *, with_body: bool) -> bytes:
    """The JSON of an event; the message's own text only where the webhook may carry it."""
    delivery = event.delivery
    message = delivery.message
    told: dict[str, Any] = {
        "id": message.id,
        "thread_id": message.thread_id,
        "from_agent": message.sender,
        "to_agent": delivery.agent,
        "priority": PRIORITIES[message.rank],
        "reply_to": message.reply_to,
        "created_at": rfc3339(message.created_at),
    }
    if with_body:
        told["subject"] = message.subject
        told["body"] = message.body
        told["data"] = None if message.data_json is None else json.loads(message.data_json)
    return encoded(TYPES[event.kind], event.at, told)


def encoded(kind: str, at_ms: int, told: dict[str, Any]) -> bytes:
    """`{type, timestamp, data}` as bytes."""
    document = {"type": kind, "timestamp": rfc3339(at_ms), "data": told}
    return json.dumps(document, separators=(",", ":")).encode()
