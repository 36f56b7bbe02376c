"""What is answered about the operator's channels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agent_bus.api.models.responses import AnswerModel, Count, Time
from agent_bus.core.states import Priority


class ChannelEntry(AnswerModel):
    """One channel and how it fares; of its URL only the scheme is told."""

    name: str
    kind: Annotated[str, Field(description="`webhook`, or the scheme of its URL.")]
    priorities: Annotated[list[Priority], Field(description="Messages that it tells of.")]
    pending: Annotated[Count, Field(description="Messages that wait to be told of.")]
    oldest_s: Annotated[
        float | None, Field(ge=0, description="For how long the oldest of them has waited.")
    ]
    delivered: Annotated[Count, Field(description="Messages that it has told of.")]
    dead: Annotated[Count, Field(description="Given up after three days.")]
    dropped: Annotated[Count, Field(description="The oldest, when too many waited.")]
    failures: Annotated[Count, Field(description="In a row; 0 after a success.")]
    held_by: Annotated[
        Literal["failures", "quiet_hours", "digest"] | None,
        Field(description="Why what waits is not told now."),
    ]
    held_until: Time | None
    disabled_at: Annotated[
        Time | None, Field(description="When a signed webhook's receiver said 410.")
    ]
    last_success_at: Time | None
    last_failure_at: Time | None
    last_error: Annotated[str | None, Field(description="Without any part of the URL.")]


class ChannelsAnswer(AnswerModel):
    """All channels by name."""

    channels: list[ChannelEntry]


class ChannelTestAnswer(AnswerModel):
    """What came of a test."""

    channel: str
    ok: bool
    error: Annotated[str | None, Field(description="Why it was not taken.")]
