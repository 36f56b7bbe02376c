"""What is asked and answered about storms."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agent_bus.api.models.fields import Name, StrictModel, Text
from agent_bus.api.models.responses import AnswerModel, Count, Time

Key = Annotated[
    str,
    Field(
        description="A thread's id, two agents (`a,b`), a ring (`a>b>c`), or `broadcasts`.",
        examples=["broadcasts"],
    ),
]
SignalWord = Annotated[
    Literal["turns", "ring", "repeats", "echoes"],
    Field(description="What it was known by."),
]


class ReleaseBody(StrictModel):
    """What is to go on."""

    what: Annotated[
        Text,
        Field(min_length=1, max_length=1000, description="As `key`; two agents in any order."),
    ]


class StormEntry(AnswerModel):
    """One storm that is going on."""

    key: Key
    signal: SignalWord
    level: Annotated[
        Literal["damped", "held"],
        Field(description="`damped`: its wakes are spaced out. `held`: it wakes nobody."),
    ]
    agents: list[Name]
    since_at: Annotated[Time, Field(description="When it was damped.")]
    withheld: Annotated[Count, Field(description="Deliveries that wait, unfetched.")]
    reason: str


class PastStorm(AnswerModel):
    """One storm that was held, and was released."""

    key: Key
    signal: SignalWord
    agents: list[Name]
    held_at: Time
    released_at: Time


class StormsAnswer(AnswerModel):
    """The storms there are, and the last ones that were."""

    storms: list[StormEntry]
    past: list[PastStorm]


class ReleaseAnswer(AnswerModel):
    """What goes on."""

    key: Key
    agents: list[Name]
