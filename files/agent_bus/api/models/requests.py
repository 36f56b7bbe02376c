"""What requests may look like, as pydantic models; the OpenAPI document is made from them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from agent_bus.core.model import NAME_PATTERN, RESERVED_NAMES

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic.fields import FieldInfo

EMOJI_JOINED: Final = re.compile(r"(?<=[^\w\s\x00-\x7f\u200d])\u200d(?=[^\w\s\x00-\x7f\u200d])")
"""ZERO WIDTH JOINER, which many emoji are made with, between two signs that are no letters."""

PLAIN_LINE: Final = (
    r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891"
    r"\u08e2\u180e\u200b-\u200c\u200e-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f"
    r"\ufeff\ufff9-\ufffb]*$"
)
"""`_plain_line` as a regular expression, for the document; the rare ones past U+FFFF, and where a
joiner may stand, are left to the validator, because not every regular expression can say it."""

RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def _plain_line(value: str) -> str:
    """Refuse what can hide or reorder text: control, bidi and zero-width characters."""
    for character in EMOJI_JOINED.sub("", value):
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            raise ValueError(f"character U+{ord(character):04X} is not allowed here")
    return value


def _no_surrogates(value: str) -> str:
    """Refuse lone surrogates: they are no text and cannot be stored as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("contains a lone surrogate") from error
    return value


def _agent_name(value: str) -> str:
    if value != "operator" and (not NAME_PATTERN.fullmatch(value)):
        raise ValueError("must match [a-z0-9][a-z0-9_-]{0,62}")
    return value


def _new_agent_name(value: str) -> str:
    if value in RESERVED_NAMES:
        raise ValueError(f"{value!r} is reserved")
    return _agent_name(value)


def _recipient(value: str) -> str:
    _agent_name(value.removeprefix("@"))
    return value


def _flag(value: object) -> bool:
    """One spelling each way in the document, two that the server takes."""
    found = {"1": True, "true": True, "0": False, "false": False}.get(str(value).lower())
    if found is None:
        raise ValueError("must be 1 or 0")
    return found


def _date_time(value: object) -> object:
    """Refuse bare numbers, which pydantic would take for seconds since 1970."""
    if not (isinstance(value, str) and RFC3339.fullmatch(value)):
        raise ValueError("must be like 2026-01-31T12:00:00Z")
    return value


def _whole(value: object) -> object:
    """Take 60.0 for 60: JSON knows one kind of number, and some clients write it so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_json(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what Python's JSON takes and others do not: NaN, infinity, endless integers."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ValueError("holds a number that JSON cannot carry") from error
    return value


def _pattern(expression: str) -> FieldInfo:
    """Tell the document what a validator checks with a better message than a pattern's."""
    return Field(json_schema_extra={"pattern": expression})  # type: ignore[no-any-return]


Name = Annotated[str, AfterValidator(_agent_name), _pattern(f"^{NAME_PATTERN.pattern}$")]
NewName = Annotated[
    str,
    AfterValidator(_new_agent_name),
    _pattern(rf"^(?!(?:{'|'.join(sorted(RESERVED_NAMES))})$){NAME_PATTERN.pattern}$"),
]
Recipient = Annotated[str, AfterValidator(_recipient), _pattern(f"^@?{NAME_PATTERN.pattern}$")]
Ulid = Annotated[str, Field(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, AfterValidator(_no_surrogates)]
Line = Annotated[str, Field(max_length=200), AfterValidator(_plain_line), _pattern(PLAIN_LINE)]
Node = Annotated[
    str,
    Field(min_length=1, max_length=253),
    AfterValidator(_plain_line),
    _pattern(PLAIN_LINE),
]
Priority = Literal["normal", "high", "urgent"]
DateTime = Annotated[AwareDatetime, BeforeValidator(_date_time)]
Cursor = Annotated[str, Field(max_length=500, pattern=r"^[A-Za-z0-9_-]*$")]
WHOLE: Final = BeforeValidator(_whole)
Flag = Annotated[
    bool,
    BeforeValidator(_flag),
    WithJsonSchema({"type": "string", "enum": ["0", "1", "false", "true"]}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SendBody(_Strict):
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
    data: Annotated[dict[str, Any], AfterValidator(_is_json)] | None = Field(
        default=None, description="Any JSON object."
    )
    priority: Priority = "normal"
    reply_to: Ulid | None = Field(default=None, description="Id of the message answered.")
    expires_in_s: Annotated[int, Field(ge=1, le=31_536_000), WHOLE] | None = Field(
        default=None, description="Seconds after which the message is no longer shown."
    )


class AckBody(_Strict):
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


class RosterAgent(_Strict):
    """One agent and where it lives."""

    name: NewName
    node: Node


class NodeTokens(_Strict):
    """The digests of a node's valid tokens: one, or two during a rotation."""

    node: Node
    sha256: Annotated[list[Digest], Field(max_length=2)]


class RosterBody(_Strict):
    """The whole inventory, as the hub needs it."""

    agents: Annotated[list[RosterAgent], Field(max_length=5000)]
    groups: dict[NewName, list[NewName]] = Field(
        default_factory=dict,
        json_schema_extra={"propertyNames": {"pattern": f"^{NAME_PATTERN.pattern}$"}},
    )
    tokens: Annotated[list[NodeTokens], Field(max_length=1000)]
    force: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> RosterBody:
        names = [agent.name for agent in self.agents]
        digests = [digest for node in self.tokens for digest in set(node.sha256)]
        for given in (names, [node.node for node in self.tokens], digests):
            twice = sorted(one for one, count in Counter(given).items() if count > 1)
            if twice:
                raise ValueError(f"named twice: {', '.join(twice)}")
        missing = {m for members in self.groups.values() for m in members} - set(names)
        if missing:
            raise ValueError(f"in a group but not in agents: {', '.join(sorted(missing))}")
        return self


class PresenceAgent(_Strict):
    """Whether one agent's gateway answers its watcher."""

    name: Name
    gateway: Literal["ok", "down"]


GatewayKind = Literal["unknown", "heartbeat", "follow-up"]
"""How a gateway starts the turns that it is woken for, as far as a watcher has seen."""


class PresenceBody(_Strict):
    """A watcher's sign of life."""

    node_version: Line
    agents: Annotated[list[PresenceAgent], Field(max_length=500)]
    unconfigured: Annotated[list[Name], Field(max_length=500)] = []
    gateway_kind: GatewayKind = "unknown"


WEEK_MS: Final = 604_800_000
"""Reports older than a week are told in nobody's timeline; without a bound, one report of 1e300 ms
failed the write of all hops that were gathered with it."""


class WakeReport(_Strict):
    """What became of one wake. It holds for the agent's deliveries up to `up_to_seq`."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"event": {"const": "probed"}}, "required": ["event"]},
            "else": {"required": ["up_to_seq"], "properties": {"up_to_seq": {"type": "integer"}}},
        }
    )

    agent: Name
    event: Literal["received", "accepted", "coalesced", "escalated", "failed", "overdue", "probed"]
    age_ms: Annotated[float, Field(ge=0, le=WEEK_MS, description="How long ago it happened.")] = 0
    up_to_seq: Annotated[int, Field(ge=0, lt=1 << 62), WHOLE] | None = None
    reason: Annotated[str, Field(max_length=500)] | None = None
    probe_id: Annotated[str, Field(max_length=64)] | None = None
    duration_ms: Annotated[float, Field(ge=0, le=WEEK_MS)] | None = None

    @model_validator(mode="after")
    def _says_how_far(self) -> WakeReport:
        if self.event != "probed" and self.up_to_seq is None:
            raise ValueError(f"up_to_seq: needed for {self.event!r}")
        return self


class WakesBody(_Strict):
    """A batch of reports."""

    reports: Annotated[list[WakeReport], Field(max_length=1000)]


class ProbeBody(_Strict):
    """Whom to probe; left out: everybody."""

    agents: Annotated[list[Name], Field(min_length=1, max_length=5000)] | None = None


class MuteBody(_Strict):
    """How long to leave an agent alone."""

    for_s: Annotated[float, Field(ge=0, le=604_800, allow_inf_nan=False)] = Field(
        description="Seconds from now, a week at most; 0 ends a mute."
    )


class InboxQuery(_Query):
    """Which part of an inbox."""

    agent: Name | None = None
    unread: Flag = True
    priority: Priority | None = None
    thread: Ulid | None = None
    peek: Flag = False
    wait_s: Annotated[float, Field(ge=0, le=60)] = 0
    limit: Annotated[int, Field(ge=1)] = 50
    cursor: Cursor | None = None


class HistoryQuery(_Query):
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


class StreamQuery(_Query):
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


class RosterQuery(_Query):
    """How to put a roster."""

    dry_run: Flag = False


def milliseconds(value: datetime | None) -> int | None:
    """A time as milliseconds since 1970; None for None."""
    return None if value is None else int(value.timestamp() * 1000)
