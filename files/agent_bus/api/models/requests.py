"""What requests may look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable  # noqa: TC003 - pydantic looks at hints
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from agent_bus.api.models.fields import (
    WHOLE,
    Cursor,
    DateTime,
    Digest,
    Flag,
    Line,
    Name,
    NewName,
    Node,
    QueryModel,
    Recipient,
    StrictModel,
    Text,
    Ulid,
    portable,
)
from agent_bus.core import states
from agent_bus.core.guards import escalation, rights
from agent_bus.core.model import NAME_PATTERN, OPERATOR


class SendBody(StrictModel):
    """A message to send."""

    sender: Name | None = Field(
        default=None,
        alias="from",
        description="The sending agent; may be left out when the token has exactly one.",
    )
    to: Recipient | Annotated[list[Recipient], Field(min_length=1, max_length=500)] | None = Field(
        default=None,
        description="An agent, `@group`, or a list of them; left out: everybody else.",
    )
    body: Text = Field(min_length=1, description="The text. Data, never interpreted by the bus.")
    subject: Line | None = Field(default=None, description="One line, 200 characters at most.")
    data: Annotated[dict[str, Any], AfterValidator(portable)] | None = Field(
        default=None, description="Any JSON object."
    )
    priority: states.Priority = "normal"
    reply_to: Ulid | None = Field(default=None, description="Id of the message answered.")
    expires_in_s: Annotated[int, Field(ge=1, le=31_536_000), WHOLE] | None = Field(
        default=None, description="Seconds after which the message is no longer shown."
    )


class AckBody(StrictModel):
    """What was read."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["ids"], "properties": {"ids": {"type": "array"}}},
                {"required": ["up_to"], "properties": {"up_to": {"type": "string"}}},
            ]
        }
    )

    agent: Name | None = None
    ids: Annotated[list[Ulid], Field(min_length=1, max_length=500)] | None = None
    up_to: Ulid | None = Field(
        default=None, description="All that was shown to this agent, up to this message."
    )

    @model_validator(mode="after")
    def _one_of(self) -> AckBody:
        if (self.ids is None) == (self.up_to is None):
            raise ValueError("give either `ids` or `up_to`")
        return self


class RosterAgent(StrictModel):
    """One agent and where it lives."""

    name: NewName
    node: Node


class NodeTokens(StrictModel):
    """The digests of a node's valid tokens: one, or two during a rotation."""

    node: Node
    sha256: Annotated[list[Digest], Field(max_length=2)]


class AgentTokens(StrictModel):
    """The digests of an agent's own valid tokens: one, or two during a rotation."""

    agent: NewName
    sha256: Annotated[list[Digest], Field(min_length=1, max_length=2)]
    node_too: bool = Field(
        default=False,
        description="The token of the agent's node still speaks for it: until the node has the "
        "agent's own.",
    )


Side = Annotated[list[Recipient], Field(max_length=5000)]


class MessageRight(StrictModel):
    """Whom a rule lets write to whom. Both sides: agents, `@group`s, or `all`."""

    name: Line | None = Field(default=None, description="The operator's word for this rule.")
    senders: Annotated[Side, Field(min_length=1)] = Field(alias="from")
    to: Side = Field(description="`operator` is always allowed; empty: nobody else.")


Limit = Annotated[int, Field(ge=0, le=10_000_000)]


class WakeBudget(StrictModel):
    """How many wakes there may be in any 60 minutes and in any 24 hours; left out: any number."""

    per_hour: Limit | None = None
    per_day: Limit | None = None
    urgent_reserve: Limit = Field(
        default=0, description="How many more urgent mail may cause in any 24 hours."
    )


class WakeBudgets(StrictModel):
    """How many wakes the fleet, its groups and its agents may have."""

    fleet: WakeBudget | None = Field(
        default=None, description="Left out: 30 per agent and hour, 200 per day; null: any number."
    )
    groups: dict[NewName, WakeBudget] = Field(
        default_factory=dict,
        json_schema_extra={"propertyNames": {"pattern": f"^{NAME_PATTERN.pattern}$"}},
    )
    agents: dict[NewName, WakeBudget] = Field(
        default_factory=dict,
        json_schema_extra={"propertyNames": {"pattern": f"^{NAME_PATTERN.pattern}$"}},
    )


class EscalationStep(StrictModel):
    """Who is told when urgent mail stays unread for so long."""

    after_min: Annotated[int, Field(ge=1, le=escalation.LONGEST_MIN), WHOLE]
    to: Recipient = Field(description="An agent, `@group`, or `operator`.")


Ladder = Annotated[list[EscalationStep], Field(max_length=20)]
_BY_NAME: Final[dict[str, Any]] = {"propertyNames": {"pattern": f"^{NAME_PATTERN.pattern}$"}}


class Escalation(StrictModel):
    """Ladders of urgent mail: of agents, else of their groups, else the default."""

    default: Ladder = []  # noqa: RUF012 - pydantic copies it
    groups: dict[NewName, Ladder] = Field(default_factory=dict, json_schema_extra=_BY_NAME)
    agents: dict[Name, Ladder] = Field(default_factory=dict, json_schema_extra=_BY_NAME)

    def rules(self) -> dict[str, object]:
        """As the store keeps it; empty without any."""
        return {name: said for name, said in self.model_dump().items() if said}

    def strangers(self, agents: Iterable[str], groups: Iterable[str]) -> list[str]:
        """Whom it names, though there is no such agent or group."""
        ladders = [self.default, *self.groups.values(), *self.agents.values()]
        named = {step.to for ladder in ladders for step in ladder} | self.agents.keys()
        named |= {f"@{group}" for group in self.groups}
        return sorted(named - {*agents, *(f"@{group}" for group in groups), OPERATOR})


class RosterBody(StrictModel):
    """The whole inventory, as the hub needs it."""

    agents: Annotated[list[RosterAgent], Field(max_length=5000)]
    groups: dict[NewName, list[NewName]] = Field(
        default_factory=dict,
        json_schema_extra={"propertyNames": {"pattern": f"^{NAME_PATTERN.pattern}$"}},
    )
    tokens: Annotated[list[NodeTokens], Field(max_length=1000)]
    guests: list[Node] = Field(
        default=[], description="Nodes without a watcher; each has an entry in `tokens`."
    )
    rights: Annotated[list[MessageRight], Field(max_length=1000)] = Field(
        default=[],
        description="Who may write to whom. A sender that no rule names may write to all; one "
        "that rules name, to those to whom any of them lets it.",
    )
    agent_tokens: Annotated[list[AgentTokens], Field(max_length=5000)] = Field(
        default=[],
        description="Agents with a token of their own; their node's does not speak for them.",
    )
    budgets: WakeBudgets | None = Field(
        default=None, description="How many wakes there may be; left out: the fleet's default."
    )
    escalation: Escalation | None = Field(
        default=None, description="Who else is told that an urgent message stays unread."
    )
    force: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> RosterBody:
        names = [agent.name for agent in self.agents]
        digests = [digest for node in self.tokens for digest in set(node.sha256)]
        digests += [digest for agent in self.agent_tokens for digest in set(agent.sha256)]
        nodes = [node.node for node in self.tokens]
        own = [one.agent for one in self.agent_tokens]
        for given in (names, nodes, digests, self.guests, own):
            twice = sorted(one for one, count in Counter(given).items() if count > 1)
            if twice:
                raise ValueError(f"named twice: {', '.join(twice)}")
        missing = {m for members in self.groups.values() for m in members} - set(names)
        if missing:
            raise ValueError(f"in a group but not in agents: {', '.join(sorted(missing))}")
        nobody = set(own) - set(names)
        if nobody:
            raise ValueError(f"with a token but not in agents: {', '.join(sorted(nobody))}")
        strangers = set(self.guests) - set(nodes)
        if strangers:
            raise ValueError(f"guests without a token: {', '.join(sorted(strangers))}")
        self._rights_about(names)
        lost = self.escalation.strangers(names, self.groups) if self.escalation else []
        if lost:
            raise ValueError(f"escalation: neither agent nor group: {', '.join(lost)}")
        return self

    def _rights_about(self, agents: list[str]) -> None:
        """Refuse rules about nobody, and those that would bind the operator."""
        for number, rule in enumerate(self.rights, start=1):
            if OPERATOR in rule.senders:
                raise ValueError(f"rights: rule {number} names operator, who may write to all")
            to = [name for name in rule.to if name != OPERATOR]
            nobody = rights.strangers([*rule.senders, *to], agents, self.groups)
            if nobody:
                raise ValueError(
                    f"rights: rule {number} names {', '.join(nobody)}, neither agent nor group"
                )


class PresenceAgent(StrictModel):
    """Whether one agent's gateway answers its watcher."""

    name: Name
    gateway: Literal["ok", "down"]


class PresenceBody(StrictModel):
    """A watcher's sign of life."""

    node_version: Line
    agents: Annotated[list[PresenceAgent], Field(max_length=500)]
    unconfigured: Annotated[list[Name], Field(max_length=500)] = []  # noqa: RUF012 - pydantic copies it
    gateway_kind: states.GatewayKind = states.UNKNOWN


WEEK_MS: Final = 604_800_000
"""No timeline needs a report that is older than a week. Without a bound, one report of 1e300 ms
made the write fail for all hops that were gathered with it."""


class WakeReport(StrictModel):
    """What became of one wake. It holds for the agent's deliveries up to `up_to_seq`."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"event": {"const": states.PROBED}}, "required": ["event"]},
            "else": {"required": ["up_to_seq"], "properties": {"up_to_seq": {"type": "integer"}}},
        }
    )

    agent: Name
    event: states.WakeEvent
    age_ms: Annotated[float, Field(ge=0, le=WEEK_MS, description="How long ago it happened.")] = 0
    up_to_seq: Annotated[int, Field(ge=0, lt=1 << 62), WHOLE] | None = None
    reason: Annotated[Text, Field(max_length=500)] | None = None
    probe_id: Annotated[Text, Field(max_length=64)] | None = None
    duration_ms: Annotated[float, Field(ge=0, le=WEEK_MS)] | None = None

    @model_validator(mode="after")
    def _says_how_far(self) -> WakeReport:
        if self.event != states.PROBED and self.up_to_seq is None:
            raise ValueError(f"up_to_seq: needed for {self.event!r}")
        return self


class WakesBody(StrictModel):
    """A batch of reports."""

    reports: Annotated[list[WakeReport], Field(max_length=1000)]


class ProbeBody(StrictModel):
    """Whom to probe; left out: everybody who has a watcher, so no guests."""

    agents: Annotated[list[Name], Field(min_length=1, max_length=5000)] | None = None


class MuteBody(StrictModel):
    """How long to leave an agent alone."""

    for_s: Annotated[float, Field(ge=0, le=604_800, allow_inf_nan=False)] = Field(
        description="Seconds from now, a week at most; 0 ends a mute."
    )


class InboxQuery(QueryModel):
    """Which part of an inbox."""

    agent: Name | None = None
    unread: Flag = True
    priority: states.Priority | None = None
    thread: Ulid | None = None
    peek: Flag = False
    wait_s: Annotated[float, Field(ge=0, le=60)] = 0
    limit: Annotated[int, Field(ge=1)] = 50
    cursor: Cursor | None = None


class HistoryQuery(QueryModel):
    """Which part of the past."""

    agent: Name | None = None
    partner: Name | None = Field(default=None, alias="with")
    thread: Ulid | None = None
    since: DateTime | None = None
    until: DateTime | None = None
    order: Literal["asc", "desc"] = "desc"
    archived: Flag = False
    limit: Annotated[int, Field(ge=1)] = 50
    cursor: Cursor | None = None


class StreamQuery(QueryModel):
    """What a stream carries."""

    agents: Annotated[str, Field(max_length=4000)] | None = Field(
        default=None, description="Some of the token's agents, comma-separated; left out: all."
    )
    role: Literal["watcher"] | None = Field(
        default=None, description="Only the node's watcher says this; it takes the lease."
    )
    receipts: Flag = False
    last_event_id: Annotated[str, Field(max_length=100)] | None = Field(
        default=None, description="For clients that cannot set the Last-Event-ID header."
    )


class AgentsQuery(QueryModel):
    """Who asks for the list."""

    sender: Name | None = Field(
        default=None,
        alias="from",
        description="An agent of the token (for the admin token: any): only those that it may "
        "write to, and itself. Left out: those that any of the token's agents may write to, and "
        "these.",
    )


class RightsQuery(QueryModel):
    """Whose rights."""

    agent: Name | None = None


class RosterQuery(QueryModel):
    """How to put a roster."""

    dry_run: Flag = False
