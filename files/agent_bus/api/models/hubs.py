"""What is answered about the fleet's hubs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agent_bus.api.models.responses import AnswerModel, Count, Time


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


class ClusterHub(AnswerModel):
    """One hub, as the hub knows it that answers."""

    name: str
    url: str | None
    live: Annotated[
        bool | None, Field(description="Whether it is heard; null while that cannot be known.")
    ]
    version: str | None
    last_seen_at: Time | None
    answers: Annotated[bool, Field(description="Whether this answer is its own.")]


class DatabaseMember(AnswerModel):
    """One server of the database."""

    name: str
    host: Annotated[str | None, Field(description="Where it listens, if that is known.")]
    role: Literal["primary", "standby"] | None
    state: Annotated[
        str,
        Field(description="In PostgreSQL's and Patroni's words; `lost`: nobody hears of it."),
    ]
    there: Annotated[bool, Field(description="Whether it runs and, as a standby, follows.")]
    synchronous: Annotated[bool, Field(description="Whether commits may wait for it.")]
    timeline: int | None
    lag_bytes: Annotated[
        int | None, Field(description="How far it is behind; null where that is not known.")
    ]
    lag_s: float | None


class DatabaseState(AnswerModel):
    """The database of several hubs."""

    primary: Annotated[str | None, Field(description="Null while none is reached.")]
    without_primary_s: Annotated[
        float, Field(ge=0, description="For how long this hub has reached none; 0 while it does.")
    ]
    fenced: Annotated[
        bool, Field(description="Whether this hub sends its clients away because of that.")
    ]
    paused: Annotated[
        bool, Field(description="Whether Patroni is paused, so that no member takes over.")
    ]
    needed: Annotated[int, Field(ge=1, description="How many members a commit needs.")]
    there: Count
    members: list[DatabaseMember]


class EtcdMember(AnswerModel):
    """The etcd of one host."""

    name: str
    healthy: Annotated[bool | None, Field(description="Null where nobody says.")]
    leads: bool
    has_leader: bool
    size_bytes: Count
    quota_bytes: Annotated[int, Field(ge=0, description="How large it may become.")]


class EtcdStates(AnswerModel):
    """That by which the hubs agree on the primary."""

    healthy: Count
    leader: str | None
    members: list[EtcdMember]


class ClusterAnswer(AnswerModel):
    """The hubs and their database; without PostgreSQL, the hub alone."""

    hubs: list[ClusterHub]
    database: DatabaseState | None
    etcd: EtcdStates | None
    words: Annotated[list[str], Field(description="The same in words, one line each.")]
