"""What the API answers, as pydantic models for the OpenAPI document.

Nothing is validated against them at run time: `wire.py` and the endpoints make the values, and
the contract test holds them to this description.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent_bus.api.models.fields import Name, Ulid
from agent_bus.core.states import AgentStatus, Priority, Reachability

Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        description="UTC with milliseconds (RFC 3339).",
        examples=["2026-01-31T12:00:00.000Z"],
    ),
]
Count = Annotated[int, Field(ge=0)]
Seq = Annotated[int, Field(ge=0, description="A delivery's number: the order of commits.")]
Node = Annotated[str, Field(description="A host of the inventory.")]
Cursor = Annotated[
    str | None, Field(description="Ask for the next page with it; null: this was the last.")
]


class AnswerModel(BaseModel):
    """An object of which every field is described.

    It is built when the document is asked for, which most hubs never are.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)


class Problem(BaseModel):
    """A refusal (RFC 9457). Further members depend on the code."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(description="`urn:agent-bus:problem:` and the code.")]
    title: str
    status: int
    code: Annotated[str, Field(description="Stable; decide by it, not by the words.")]
    detail: Annotated[str, Field(description="What is wrong and what to do about it.")]
    field: Annotated[str, Field(description="The field or parameter at fault.")] = ""


class SentTo(AnswerModel):
    """One recipient of an accepted message."""

    agent: Name
    seq: Seq
    reachability: Annotated[Reachability, Field(description="Whether it is woken by this now.")]


class SendAnswer(AnswerModel):
    """The message is stored and synced to the disk."""

    id: Ulid
    thread_id: Ulid
    created_at: Time
    recipients: list[SentTo]
    skipped: Annotated[
        list[Name],
        Field(
            default_factory=list,
            description="Those of a group or a broadcast who were left out, because the sender may"
            " not write to them. Not there if nobody was.",
        ),
    ]


class MessageFields(AnswerModel):
    """What every form of a message has."""

    id: Ulid
    from_agent: Name
    subject: str | None
    body: str
    data: dict[str, Any] | None
    priority: Priority
    reply_to: Ulid | None
    thread_id: Ulid
    created_at: Time


class InboxMessage(MessageFields):
    """A message as one recipient sees it."""

    seq: Seq
    to_agent: Name
    expires_at: Time | None
    read_at: Time | None
    fetched_at: Annotated[
        Time | None,
        Field(
            description="When it was shown before this call. A message that is shown again within"
            " two minutes keeps its time."
        ),
    ]
    fetch_count: Annotated[Count, Field(description="How often it was shown before this call.")]


class InboxAnswer(AnswerModel):
    """A page of an inbox."""

    agent: Name
    messages: list[InboxMessage]
    next_cursor: Cursor
    unread: Annotated[Count, Field(description="Of the whole inbox, not of the page.")]


class AckAnswer(AnswerModel):
    """What became of each id."""

    acked: list[Ulid]
    already_acked: list[Ulid]
    unknown: list[Ulid]


class Timeline(AnswerModel):
    """The hops of one delivery; null where one has not happened."""

    agent: Name
    seq: Seq
    stored_at: Time
    pushed_at: Annotated[Time | None, Field(description="Written to a stream.")]
    received_at: Annotated[Time | None, Field(description="The watcher has it.")]
    accepted_at: Annotated[Time | None, Field(description="The gateway took the wake.")]
    wake_failed_at: Time | None
    wake_failure: Annotated[str | None, Field(description="Why the wake failed.")]
    escalated_at: Time | None
    overdue_at: Time | None
    fetched_at: Annotated[Time | None, Field(description="Shown to the agent.")]
    fetch_count: Count
    read_at: Annotated[Time | None, Field(description="Acked by the agent.")]
    expired_at: Time | None


class MessageAnswer(MessageFields):
    """A message with the timelines that the caller may see."""

    expires_at: Time | None
    deliveries: list[Timeline]


class LadderStep(AnswerModel):
    """Who else was told that an urgent message stays unread."""

    to: Annotated[str, Field(description="An agent, `@group`, or `operator`.")]
    at: Time
    notice_id: Annotated[
        Ulid | None, Field(description="The notice; null while it is sent, or if nobody was left.")
    ]


class Told(AnswerModel):
    """The operator was told of a delivery by a channel."""

    channel: str
    at: Time


class FullTimeline(Timeline):
    """The hops of one delivery, its steps up the ladder, and when the operator was told of it."""

    held_at: Annotated[Time | None, Field(description="A storm withheld its wake from here on.")]
    let_go_at: Time | None
    ladder: list[LadderStep]
    told: list[Told]


class QuestionAnswer(AnswerModel):
    """A question that a message asks."""

    choices: list[str]
    agents: Annotated[list[Name], Field(description="Who may answer.")]
    state: Literal["open", "answered", "expired"]
    choice: Annotated[str | None, Field(description="The answer.")]
    answered_by: Name | None
    answered_at: Time | None
    answer_id: Ulid | None


class FullMessage(MessageFields):
    """A message with all that there is to say of it, as far as the caller may see it."""

    expires_at: Time | None
    deliveries: list[FullTimeline]
    question: Annotated[QuestionAnswer | None, Field(description="Null: it asks nothing.")]


class HistoryAnswer(AnswerModel):
    """A page of the past."""

    messages: list[MessageAnswer]
    next_cursor: Cursor


class ProbeResult(AnswerModel):
    """Whether one agent could be woken."""

    agent: Name
    node: Node | None
    status: AgentStatus
    ok: bool
    gateway_ms: Annotated[float | None, Field(description="The watcher's call to the gateway.")]
    total_ms: Annotated[float | None, Field(description="The hub's round trip to the watcher.")]
    reason: Annotated[str | None, Field(description="Why not, when not ok.")]


class ProbesAnswer(AnswerModel):
    """One result per agent."""

    probe_id: str
    results: list[ProbeResult]


class WakeAnswer(AnswerModel):
    """The watcher was told; it wakes for unfetched mail."""

    agent: Name
    node: Node
    status: AgentStatus
    unfetched: Count


class MuteAnswer(AnswerModel):
    """Until when the agent is left alone."""

    agent: Name
    muted_until: Time | None


class LoginLinkAnswer(AnswerModel):
    """The link's path on this hub, with its one-time code, and for how long it is good."""

    path: str
    expires_in_s: Count


class BackupAnswer(AnswerModel):
    """A verified and synced file on the hub."""

    path: str
    bytes: Count
    sha256: str
    epoch: str
    schema_version: int


class ArchiveAnswer(AnswerModel):
    """How many messages were expired, archived or dropped."""

    touched: Count


class StreamFigures(AnswerModel):
    """Open streams."""

    open: Count
    watchers: Count


class MessageFigures(AnswerModel):
    """Counted since the hub started; what is unread, unfetched and head as of now."""

    accepted: Count
    delivered: Count
    acked: Count
    accepted_per_s: float
    unread: Count
    unfetched: Count
    oldest_unread_at: Time | None
    head: Seq


class Quantiles(AnswerModel):
    """Milliseconds over the most recent observations of one hop."""

    count: Count
    p50: float
    p90: float
    p99: float
    max: float


class DatabaseFigures(AnswerModel):
    """What the database runs with, in SQLite's words or PostgreSQL's, and how big it is."""

    journal_mode: str = ""
    synchronous: str = ""
    auto_vacuum: str = ""
    sqlite_version: str = ""
    server_version: str = ""
    synchronous_commit: str = ""
    synchronous_standby_names: str = ""
    fsync: str = ""
    full_page_writes: str = ""
    schema_version: int
    bytes: Count
    free_bytes: Count
    wal_bytes: Count
    commits: Count
    commands: Count


class AlertEntry(AnswerModel):
    """An alert that fires, as Prometheus would have it."""

    name: str
    severity: Literal["critical", "warning"]
    subject: Annotated[str, Field(description="A node or an agent; empty for the hub.")]
    words: str
    advice: str


class CertificateEnd(AnswerModel):
    """A certificate and when it ends."""

    name: Literal["hub", "authority", "database"]
    expires_at: Time


class DiskRoom(AnswerModel):
    """The disk of the database."""

    free_bytes: Count
    total_bytes: Count
    full_at: Annotated[
        Time | None, Field(description="At the pace of the last hours; null if it does not fill.")
    ]


class ArchiveAge(AnswerModel):
    """From when the archive is, and how long it is kept."""

    oldest_at: Time | None
    retain_days: float


class Rotation(AnswerModel):
    """A node whose old token is still accepted beside the new one; `(admin)` for the admin's.

    `agent NAME` for an agent's own.
    """

    node: str
    since: Time


class ReservesAnswer(AnswerModel):
    """What runs out."""

    certificates: Annotated[list[CertificateEnd], Field(description="Empty without TLS.")]
    disk: DiskRoom
    backup_at: Annotated[Time | None, Field(description="The newest on the hub.")]
    archive: ArchiveAge
    rotating: list[Rotation]
    words: Annotated[list[str], Field(description="The same as lines for people.")]


class StatsAnswer(AnswerModel):
    """The hub's figures."""

    version: str
    epoch: str
    uptime_s: float
    agents: Count
    nodes: Count
    streams: StreamFigures
    messages: MessageFigures
    latency_ms: dict[str, Quantiles]
    alerts: list[AlertEntry]
    reserves: ReservesAnswer
    database: DatabaseFigures


class LiveAnswer(AnswerModel):
    """The process serves requests; how long ago it wrote, and for how long without a pause."""

    alive: Literal[True]
    version: str
    written_s_ago: float | None
    writing_for_s: float | None


class ReadyAnswer(AnswerModel):
    """Whether the hub can take messages; each check says `ok` or what is wrong."""

    ready: bool
    version: str
    checks: dict[str, str]
