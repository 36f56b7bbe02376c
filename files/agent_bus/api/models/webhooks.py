"""What is answered about webhooks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent_bus.api.models.responses import AnswerModel, Count, Time
from agent_bus.core.states import WebhookEvent


class WebhookEntry(AnswerModel):
    """One webhook and how it fares; of its secret nothing is told."""

    name: str
    url: Annotated[str, Field(description="Where it goes, without the query.")]
    events: list[WebhookEvent]
    pending: Annotated[Count, Field(description="Events that wait.")]
    oldest_s: Annotated[
        float | None, Field(ge=0, description="For how long the oldest of them has waited.")
    ]
    delivered: Count
    dead: Annotated[Count, Field(description="Given up after three days.")]
    dropped: Annotated[Count, Field(description="The oldest, when too many waited.")]
    secrets: Annotated[Count, Field(description="By which it is signed; two in a rotation.")]
    failures: Annotated[Count, Field(description="In a row; 0 after a success.")]
    held_s: Annotated[
        float, Field(ge=0, description="For how long nothing is tried, after failures.")
    ]
    disabled_at: Annotated[
        Time | None, Field(description="When the receiver said 410; a retry enables it.")
    ]
    last_success_at: Time | None
    last_failure_at: Time | None
    last_error: str | None


class WebhooksAnswer(AnswerModel):
    """All webhooks by name."""

    webhooks: list[WebhookEntry]


class WebhookRetryAnswer(AnswerModel):
    """What waits goes out now."""

    webhook: str
    pending: Count


class WebhookTestAnswer(AnswerModel):
    """What came of a test; the event says `webhook.test`."""

    webhook: str
    ok: bool
    error: Annotated[str | None, Field(description="Why it was not taken.")]
