"""What is answered about the fleet's hubs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent_bus.api.models.responses import AnswerModel, Time


class HubEntry(AnswerModel):
    """One hub of the fleet."""

    name: str
    url: Annotated[str | None, Field(description="The address by which clients reach it.")]
    ready: Annotated[
        bool | None,
        Field(description="Whether it can take messages; null if this hub cannot know."),
    ]
    version: str | None
    last_seen_at: Annotated[
        Time | None, Field(description="When it told the others last that it lives.")
    ]
    answers: Annotated[bool, Field(description="Whether this answer is its own.")]


class HubsAnswer(AnswerModel):
    """All hubs of the fleet, by name."""

    hubs: list[HubEntry]
