"""What is answered about agents and their nodes, and about a new roster."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent_bus.api.models.fields import Name
from agent_bus.api.models.responses import AnswerModel, Count, Node, Time
from agent_bus.core.states import AgentStatus, GatewayKind, HoldReason


class AgentEntry(AnswerModel):
    """One agent of the fleet."""

    name: Name
    node: Node | None
    status: AgentStatus
    problem: Annotated[
        int, Field(ge=0, le=3, description="0 without one, else how far up a list it goes.")
    ]
    watcher_version: str | None
    last_seen_at: Time | None
    unread: Count
    unfetched: Count
    oldest_unread_at: Time | None
    last_wake_at: Annotated[
        Time | None, Field(description="When its gateway last accepted a wake.")
    ]
    muted_until: Annotated[
        Time | None,
        Field(description="Not woken until then; null with a `held` that somebody has to end."),
    ]
    held: Annotated[HoldReason | None, Field(description="Why it is not woken.")]


class NodeEntry(AnswerModel):
    """One node and its watcher; a guest has none."""

    node: Node
    guest: bool
    agents: list[Name]
    connected: Annotated[bool, Field(description="Its watcher holds the lease.")]
    watcher_version: str | None
    gateway: Annotated[bool | None, Field(description="Whether all its gateways answer.")]
    gateway_kind: Annotated[
        GatewayKind | None, Field(description="What the wakes have shown of its gateway.")
    ]
    stream_since: Time | None
    last_seen_at: Time | None
    unconfigured: Annotated[
        list[Name], Field(description="Agents that the watcher has no settings for.")
    ]


class AgentsAnswer(AnswerModel):
    """The fleet."""

    agents: list[AgentEntry]
    groups: dict[str, list[Name]]
    nodes: list[NodeEntry]


class RosterAnswer(AnswerModel):
    """What the roster changed, or would change in a dry run."""

    changed: bool
    registered: list[Name]
    moved: list[Name]
    retired: list[Name]
    revived: list[Name]
    groups_changed: bool
    tokens_changed: list[Node]
    guests_changed: list[Node]
    policies_changed: Annotated[
        list[str], Field(description="Sets of rules that differ, such as `rights`.")
    ]
    agent_tokens_changed: list[Name]


class RightsRule(AnswerModel):
    """One rule of `message_rights`."""

    number: Annotated[int, Field(ge=1, description="Its place in the list.")]
    name: str | None
    senders: Annotated[list[str], Field(alias="from", description="Agents, `@group`s, or `all`.")]
    to: list[str]


class RightsEntry(AnswerModel):
    """To whom one agent may write, besides itself and operator."""

    agent: Name
    to: Annotated[list[Name] | None, Field(description="null: to all.")]
    rules: Annotated[list[int], Field(description="The rules that name it; none: to all.")]


class RightsAnswer(AnswerModel):
    """Who may write to whom."""

    rules: list[RightsRule]
    agents: list[RightsEntry]
