"""What the streams of the API carry, as models for the OpenAPI document; see `responses.py`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from agent_bus.api.models.fields import Name, Recipient, Ulid
from agent_bus.api.models.responses import AnswerModel, Count, MessageFields, Seq, Time
from agent_bus.core.states import ByeReason, HoldReason, ResetReason


class MessageEvent(MessageFields):
    """An unnamed event with an id: one delivery."""

    seq: Seq
    to_agent: Name
    read_at: Time | None
    wake: Annotated[
        Literal["held"] | None,
        Field(
            default=None,
            description="`held`: this delivery gives no reason to wake its agent now, and the "
            "counters of `mailbox` leave it out. Missing otherwise.",
        ),
    ]
    withheld: Annotated[
        Literal[True] | None,
        Field(
            default=None,
            description="The agent has a token of its own, and a watcher's stream does not say "
            "what its mail does: no subject, body and data. Missing otherwise.",
        ),
    ]


class _Control(AnswerModel):
    to_agent: Annotated[None, Field(description="Null in every event that is no message.")]


class Mailbox(AnswerModel):
    """How much one agent has not yet fetched or read."""

    agent: Name
    unfetched: Count
    unread: Count
    max_unfetched_seq: Seq | None
    muted_until: Annotated[
        Time | None, Field(description="Do not wake it; another event tells when that ends.")
    ]
    held: Annotated[
        HoldReason | None,
        Field(description="Why it is not woken; `muted_until` has a time in any case."),
    ]


class HelloEvent(_Control):
    """The first event of each stream."""

    epoch: str
    head: Seq
    keepalive_s: float
    agents: list[Name]
    mailboxes: list[Mailbox]
    version: str
    reconnect_cap_s: Annotated[
        float,
        Field(description="After a cut, wait no longer than this between tries, for a minute."),
    ]


class MailboxEvent(_Control, Mailbox):
    """An agent's counters changed; on watcher streams only."""


class ReceiptEvent(_Control):
    """A message of this stream's agents was read; with `receipts=1` only."""

    id: Ulid
    agent: Name
    seq: Seq
    read_at: Time


class ProbeEvent(_Control):
    """The watcher is asked to check the gateways of these agents and to report."""

    probe_id: str
    agents: list[Name]


class WakeEvent(_Control):
    """The operator wants these agents to be woken again."""

    agents: list[Recipient]


class ResetEvent(_Control):
    """The cursor cannot be resumed; the unread backlog follows."""

    reason: ResetReason
    oldest: Seq
    head: Seq


class ByeEvent(_Control):
    """The last event; reconnect after the `retry:` that comes with it."""

    reason: ByeReason


EVENTS: dict[str, type[BaseModel]] = {
    "message": MessageEvent,
    "hello": HelloEvent,
    "mailbox": MailboxEvent,
    "receipt": ReceiptEvent,
    "probe": ProbeEvent,
    "wake": WakeEvent,
    "reset": ResetEvent,
    "bye": ByeEvent,
}
"""Type of event -> what its `data:` line holds."""
