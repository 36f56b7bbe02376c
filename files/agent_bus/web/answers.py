"""What the API answers and what its streams carry, as pydantic models for the OpenAPI document.

Nothing is validated against them at run time: `wire.py` and the endpoints make the values, and
the contract test holds them to this description.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent_bus.web.schemas import Name, Priority, Recipient, Ulid

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
Status = Literal["online", "gateway-down", "deaf", "offline", "retired"]
Node = Annotated[str, Field(description="A host of the inventory.")]
Cursor = Annotated[
    str | None, Field(description="Ask for the next page with it; null: this was the last.")
]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """A refusal (RFC 9457). Further members depend on the code."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(description="`urn:agent-bus:problem:` and the code.")]
    title: str
    status: int
    code: Annotated[str, Field(description="Stable; look at this one, not at the words.")]
    detail: Annotated[str, Field(description="What is wrong and what to do about it.")]
    field: Annotated[str, Field(description="The field or parameter at fault.")] = ""


class SentTo(_Answer):
    """One recipient of an accepted message."""

    agent: Name
    seq: Seq
    reachability: Annotated[Status, Field(description="Whether it can be woken now.")]


class SendAnswer(_Answer):
    """The message is stored and synced to the disk."""

    id: Ulid
    thread_id: Ulid
    created_at: Time
    recipients: list[SentTo]


class _Message(_Answer):
    id: Ulid
    from_agent: Name
    subject: str | None
    body: str
    data: dict[str, Any] | None
    priority: Priority
    reply_to: Ulid | None
    thread_id: Ulid
    created_at: Time


class InboxMessage(_Message):
    """A message as one recipient sees it."""

    seq: Seq
    to_agent: Name
    expires_at: Time | None
    read_at: Time | None
    fetched_at: Annotated[
        Time | None, Field(description="When it was last shown before this call.")
    ]
    fetch_count: Annotated[Count, Field(description="How often it was shown before this call.")]


class InboxAnswer(_Answer):
    """A page of an inbox."""

    agent: Name
    messages: list[InboxMessage]
    next_cursor: Cursor
    unread: Annotated[Count, Field(description="Of the whole inbox, not of the page.")]


class AckAnswer(_Answer):
    """What became of each id."""

    acked: list[Ulid]
    already_acked: list[Ulid]
    unknown: list[Ulid]


class Timeline(_Answer):
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


class MessageAnswer(_Message):
    """A message with the timelines that the caller may see."""

    expires_at: Time | None
    deliveries: list[Timeline]


class HistoryAnswer(_Answer):
    """A page of the past."""

    messages: list[MessageAnswer]
    next_cursor: Cursor


class AgentEntry(_Answer):
    """One agent of the registry."""

    name: Name
    node: Node | None
    status: Status
    last_seen_at: Time | None
    unread: Count
    unfetched: Count
    oldest_unread_at: Time | None
    muted_until: Annotated[Time | None, Field(description="Not woken until then.")]


class NodeEntry(_Answer):
    """One node and its watcher."""

    node: Node
    agents: list[Name]
    connected: Annotated[bool, Field(description="Its watcher holds the lease.")]
    watcher_version: str | None
    gateway: Annotated[bool | None, Field(description="Whether all its gateways answer.")]
    stream_since: Time | None
    last_seen_at: Time | None
    unconfigured: Annotated[
        list[Name], Field(description="Agents that the watcher has no settings for.")
    ]


class AgentsAnswer(_Answer):
    """The registry."""

    agents: list[AgentEntry]
    groups: dict[str, list[Name]]
    nodes: list[NodeEntry]


class RosterAnswer(_Answer):
    """What the roster changed, or would change in a dry run."""

    changed: bool
    registered: list[Name]
    moved: list[Name]
    retired: list[Name]
    revived: list[Name]
    groups_changed: bool
    tokens_changed: list[Node]


class ProbeResult(_Answer):
    """Whether one agent could be woken."""

    agent: Name
    node: Node | None
    status: Status
    ok: bool
    gateway_ms: Annotated[float | None, Field(description="The watcher's call to the gateway.")]
    total_ms: Annotated[float | None, Field(description="The hub's round trip to the watcher.")]
    reason: Annotated[str | None, Field(description="Why not, when not ok.")]


class ProbesAnswer(_Answer):
    """One result an agent."""

    probe_id: str
    results: list[ProbeResult]


class WakeAnswer(_Answer):
    """The watcher was told; it wakes for unfetched mail."""

    agent: Name
    node: Node
    status: Status
    unfetched: Count


class MuteAnswer(_Answer):
    """Until when the agent is left alone."""

    agent: Name
    muted_until: Time | None


class BackupAnswer(_Answer):
    """A verified and synced file on the hub."""

    path: str
    bytes: Count
    sha256: str
    epoch: str
    schema_version: int


class ArchiveAnswer(_Answer):
    """How many messages were expired, archived or dropped."""

    touched: Count


class StreamFigures(_Answer):
    """Open streams."""

    open: Count
    watchers: Count


class MessageFigures(_Answer):
    """Counted since the hub started; unread, unfetched and head as of now."""

    accepted: Count
    delivered: Count
    acked: Count
    accepted_per_s: float
    unread: Count
    unfetched: Count
    head: Seq


class Quantiles(_Answer):
    """Milliseconds over the most recent observations of one hop."""

    count: Count
    p50: float
    p90: float
    p99: float
    max: float


class DatabaseFigures(_Answer):
    """What the database runs with and how big it is."""

    journal_mode: str
    synchronous: str
    auto_vacuum: str
    schema_version: int
    sqlite_version: str
    bytes: Count
    free_bytes: Count
    wal_bytes: Count
    commits: Count
    commands: Count


class StatsAnswer(_Answer):
    """The hub's figures."""

    version: str
    epoch: str
    uptime_s: float
    agents: Count
    nodes: Count
    streams: StreamFigures
    messages: MessageFigures
    latency_ms: dict[str, Quantiles]
    database: DatabaseFigures


class LiveAnswer(_Answer):
    """The process serves requests."""

    alive: Literal[True]
    version: str


class ReadyAnswer(_Answer):
    """Whether the hub can take messages; each check says `ok` or what is wrong."""

    ready: bool
    version: str
    checks: dict[str, str]


class MessageEvent(_Message):
    """An unnamed event with an id: one delivery."""

    seq: Seq
    to_agent: Name
    read_at: Time | None


class _Control(_Answer):
    to_agent: Annotated[None, Field(description="Null in every event that is no message.")]


class Mailbox(_Answer):
    """How much one agent has not yet fetched or read."""

    agent: Name
    unfetched: Count
    unread: Count
    max_unfetched_seq: Seq | None
    muted_until: Annotated[
        Time | None, Field(description="Do not wake it; another event tells when that ends.")
    ]


class HelloEvent(_Control):
    """The first event of each stream."""

    epoch: str
    head: Seq
    keepalive_s: float
    agents: list[Name]
    mailboxes: list[Mailbox]
    version: str


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

    reason: Literal["epoch", "ahead", "archived"]
    oldest: Seq
    head: Seq


class ByeEvent(_Control):
    """The last event; reconnect after the `retry:` that comes with it."""

    reason: Literal["shutdown", "superseded", "lifetime", "overflow", "revoked"]


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
