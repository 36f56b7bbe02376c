"""What is said about pauses, wakes and their budgets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent_bus.api.models.fields import Line, Name, QueryModel, Recipient, StrictModel
from agent_bus.api.models.responses import AnswerModel, Count, Time
from agent_bus.core.states import HoldReason

Who = Annotated[Recipient, Field(description="An agent, `@group`, or `all` for the fleet.")]


class PauseBody(StrictModel):
    """Whom to keep from being woken, and for how long."""

    who: Who
    for_s: Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)] | None = Field(
        default=None, description="Seconds from now, a year at most; left out: until it is ended."
    )
    note: Line | None = Field(default=None, description="Why, for whoever looks; one line.")


class ResumeBody(StrictModel):
    """Whose pause to end."""

    who: Who


class WakesQuery(QueryModel):
    """How far back to look."""

    days: Annotated[int, Field(ge=1, le=90)] = 7


class PauseEntry(AnswerModel):
    """One pause in force; a mute is one, too."""

    who: Who
    reason: HoldReason
    since: Time
    until: Annotated[Time | None, Field(description="Null: until somebody ends it.")]
    note: str | None
    agents: Annotated[list[Name], Field(description="Whom it holds now.")]


class HeldEntry(AnswerModel):
    """An agent that is not woken now, whatever holds it."""

    agent: Name
    reason: HoldReason
    until: Time | None


class PausesAnswer(AnswerModel):
    """What is paused, and who is held by that or by a budget."""

    pauses: list[PauseEntry]
    held: list[HeldEntry]


class ResumeAnswer(AnswerModel):
    """What came of ending a pause."""

    who: Who
    ended: Annotated[bool, Field(description="Whether there was one.")]
    held: Annotated[
        list[HeldEntry], Field(description="Those of its agents that something else still holds.")
    ]


class BudgetEntry(AnswerModel):
    """One budget and what is used of it; windows roll."""

    who: Who
    per_hour: Count | None
    per_day: Count | None
    urgent_reserve: Count
    hour: Annotated[Count, Field(description="Wakes in the last 60 minutes.")]
    day: Annotated[Count, Field(description="Wakes in the last 24 hours.")]
    urgent: Annotated[Count, Field(description="Of the reserve, in the last 24 hours.")]


class DayEntry(AnswerModel):
    """An agent's wakes of one day in UTC; `wakes` has all kinds."""

    day: Annotated[str, Field(description="As 2026-01-31.")]
    agent: Name
    wakes: Count
    escalations: Count
    reminders: Count
    urgent: Count


class CauseEntry(AnswerModel):
    """How many wakes of an agent a sender caused: by the newest message that each stands for."""

    sender: Annotated[str, Field(description="Empty: its message is no longer known.")]
    agent: Name
    wakes: Count


class WakesAnswer(AnswerModel):
    """Budgets, wakes by agent and day, and who caused them."""

    budgets: list[BudgetEntry]
    days: Annotated[list[DayEntry], Field(description="The newest first.")]
    causes: Annotated[list[CauseEntry], Field(description="The most first.")]
