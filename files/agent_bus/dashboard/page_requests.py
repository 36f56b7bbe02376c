"""What requests of the dashboard may look like."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field

from agent_bus.api.models.fields import DateTime, Name, Node, QueryModel, StrictModel, Text, Ulid

WINDOWS: Final[dict[str, int]] = {"5m": 300, "1h": 3600, "24h": 86_400, "7d": 604_800}
"""Windows of the flow page, in seconds."""

LOCAL_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)
"""What `<input type=datetime-local>` sends; the page says that it is UTC."""


def _utc(value: object) -> object:
    if isinstance(value, str) and (found := LOCAL_TIME.fullmatch(value)):
        return f"{value}Z" if found[1] else f"{value}:00Z"
    return value


FormTime = Annotated[DateTime, BeforeValidator(_utc)]


class FleetQuery(QueryModel):
    """Whether the page is the first one after signing in."""

    entered: Literal["1"] | None = None


class LoginQuery(QueryModel):
    """Where the sign-in page comes from."""

    link: Annotated[str, Field(max_length=100)] | None = None
    lost: Literal["1"] | None = None


class SearchQuery(QueryModel):
    """Which messages to list; empty fields of the form count as left out."""

    agent: Name | Literal[""] = ""
    text: Annotated[Text, Field(max_length=200)] = ""
    since: FormTime | Literal[""] = ""
    until: FormTime | Literal[""] = ""
    before: Annotated[int, Field(ge=0, lt=1 << 62)] | None = None


class FlowQuery(QueryModel):
    """Over which time."""

    window: Literal["5m", "1h", "24h", "7d"] = "1h"


class LatencyQuery(QueryModel):
    """Of which host; empty for the whole fleet."""

    host: Node | Literal[""] = ""


class AgentAction(StrictModel):
    """Whom an action is about."""

    agent: Name


class MuteAction(AgentAction):
    """Whom to leave alone, and for how long."""

    for_s: Annotated[float, Field(ge=0, le=604_800, allow_inf_nan=False)]


class AckAction(AgentAction):
    """Which message to mark as read for an agent."""

    id: Ulid


class QuestionQuery(QueryModel):
    """Which question."""

    id: Ulid


class AnswerAction(StrictModel):
    """Which question to answer, and how."""

    id: Ulid
    choice: Annotated[Text, Field(max_length=80)]


class AnswerForm(BaseModel):
    """The button of a link's page."""

    choice: str = ""


class SignInForm(BaseModel):
    """The admin token, or a sign-in link's code."""

    token: str = ""


class SignOutForm(BaseModel):
    """The page's proof that it is our own."""

    csrf: str = ""
