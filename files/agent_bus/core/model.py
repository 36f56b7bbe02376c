"""The values that the hub's parts pass to each other: nobody changes them, nor do they act.

Wall-clock times are integers, milliseconds since 1970-01-01 UTC (`..._at`); `rfc3339` renders
them. A priority is a rank here (0 comes first); only the wire has its name.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NewType, TypeVar, dataclass_transform, get_args

from agent_bus.core.states import Priority

if TYPE_CHECKING:
    from pathlib import Path

    from agent_bus.core.states import StampKind

T = TypeVar("T")

MessageId = NewType("MessageId", str)
AgentName = NewType("AgentName", str)
NodeName = NewType("NodeName", str)
Seq = NewType("Seq", int)

OPERATOR: Final = AgentName("operator")
BUS: Final = AgentName("bus")
"""The sender of what the hub itself has to say; nobody can write to it."""
RESERVED_NAMES: Final = frozenset({"operator", "all", "bus"})
NAME_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)[::-1]
"""By rank: the order in which an inbox is read."""

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CROCKFORD_PAIRS: Final = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
_RANDOM_SHIFTS: Final = tuple(range(70, -1, -10))


def new_message_id(now_ms: int) -> MessageId:
    """A ULID (26 characters): 48 bits of time and 80 random bits; sorts by time.

    Source: the ULID specification, github.com/ulid/spec.
    """
    return new_message_ids(now_ms, 1)[0]


def new_message_ids(now_ms: int, count: int) -> list[MessageId]:
    """Some ids of one moment; their order among each other is random."""
    time = _ulid_time(now_ms)
    random = os.urandom(10 * count)
    found = []
    for start in range(0, 10 * count, 10):
        bits = int.from_bytes(random[start : start + 10], "big")
        pairs = [_CROCKFORD_PAIRS[(bits >> shift) & 1023] for shift in _RANDOM_SHIFTS]
        found.append(MessageId(time + "".join(pairs)))
    return found


@functools.lru_cache(maxsize=16)
def _ulid_time(now_ms: int) -> str:
    """The first ten characters of all ids of a millisecond."""
    return "".join([_CROCKFORD_PAIRS[(now_ms >> shift) & 1023] for shift in (40, 30, 20, 10, 0)])


def rfc3339(at_ms: int | None) -> str | None:
    """`2026-01-31T12:00:00.000Z` for a wall-clock time in milliseconds; None for None."""
    return None if at_ms is None else _to_the_millisecond(at_ms)


@functools.lru_cache(maxsize=256)
def _to_the_millisecond(at_ms: int) -> str:
    """Cached: a message's time is rendered several times, and a burst shares it."""
    seconds, millis = divmod(at_ms, 1000)
    return f"{_to_the_second(seconds)}.{millis:03d}Z"


@functools.lru_cache(maxsize=4096)
def _to_the_second(seconds: int) -> str:
    """Cached: most stamps of a page or a burst share their second, and one costs 4 us."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """A dataclass that is frozen for the type checker only, for what every message is made of.

    At run time a frozen one sets each field by `object.__setattr__`: a message with its delivery
    then costs 20 us to make instead of 3.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@value
class Draft:
    """A checked message with its recipients, ready to be stored."""

    sender: AgentName
    recipients: tuple[AgentName, ...]
    body: str
    subject: str | None = None
    data_json: str | None = None
    rank: int = 2
    reply_to: MessageId | None = None
    expires_in_s: int | None = None
    idempotency_key: str | None = None
    payload_sha256: bytes | None = None


@value
class Message:
    """A stored message.

    `first_seq` is the seq of its first delivery: the message's own order. `depth` is how many
    replies of agents in a row led to it.
    """

    id: MessageId
    first_seq: Seq
    thread_id: MessageId
    sender: AgentName
    subject: str | None
    body: str
    data_json: str | None
    rank: int
    reply_to: MessageId | None
    depth: int
    created_at: int
    expires_at: int | None


@value
class Delivery:
    """One message for one recipient, with the times of its hops (None: not yet)."""

    seq: Seq
    agent: AgentName
    message: Message
    pushed_at: int | None = None
    received_at: int | None = None
    accepted_at: int | None = None
    wake_failed_at: int | None = None
    wake_failure: str | None = None
    escalated_at: int | None = None
    overdue_at: int | None = None
    fetched_at: int | None = None
    last_fetched_at: int | None = None
    fetch_count: int = 0
    read_at: int | None = None
    expired_at: int | None = None


@value
class MailboxCounts:
    """How many deliveries an agent has not fetched or read; `last_seq` is its newest one's."""

    agent: AgentName
    unfetched: int
    unread: int
    last_seq: Seq


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as stored. `node` is None for the operator."""

    name: AgentName
    node: NodeName | None
    retired_at: int | None = None
    last_seen_at: int | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """Who lives where: what the hub needs of the operator's inventory.

    `tokens` maps each node to the SHA-256 digests (hex) of the tokens valid for it. `guests` are
    the nodes without a watcher, whose agents read when they ask. `policies` maps the name of each
    set of the operator's rules to those rules, as `policy.canonical` writes them.
    `agent_tokens` are the digests of agents that have a token of their own; the node's token then
    no longer speaks for them, except for those in `node_too`.
    """

    agents: dict[AgentName, NodeName]
    groups: dict[str, tuple[AgentName, ...]] = field(default_factory=dict)
    tokens: dict[NodeName, tuple[str, ...]] = field(default_factory=dict)
    guests: frozenset[NodeName] = frozenset()
    policies: dict[str, str] = field(default_factory=dict)
    agent_tokens: dict[AgentName, tuple[str, ...]] = field(default_factory=dict)
    node_too: frozenset[AgentName] = frozenset()


@dataclass(frozen=True, slots=True)
class Ages:
    """How old things in the store are, in milliseconds since 1970.

    `rotating` maps each node with two valid tokens to since when, `rotating_agents` each agent
    with two of its own. None: there is nothing.
    """

    rotating: dict[NodeName, int]
    rotating_agents: dict[AgentName, int]
    archived_at: int | None
    begun_at: int | None


@dataclass(frozen=True, slots=True)
class RosterChange:
    """What a roster changed or, in a dry run, would change."""

    registered: tuple[AgentName, ...] = ()
    moved: tuple[AgentName, ...] = ()
    retired: tuple[AgentName, ...] = ()
    revived: tuple[AgentName, ...] = ()
    groups_changed: bool = False
    tokens_changed: tuple[NodeName, ...] = ()
    guests_changed: tuple[NodeName, ...] = ()
    policies_changed: tuple[str, ...] = ()
    agent_tokens_changed: tuple[AgentName, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything differs from before."""
        return any(
            (
                self.registered,
                self.moved,
                self.retired,
                self.revived,
                self.groups_changed,
                self.tokens_changed,
                self.guests_changed,
                self.policies_changed,
                self.agent_tokens_changed,
            )
        )


@value
class Sent:
    """The result of a send; `replayed` when its idempotency key was known already."""

    message: Message
    deliveries: tuple[Delivery, ...]
    mailboxes: tuple[MailboxCounts, ...]
    replayed: bool = False


@value
class Acked:
    """The result of an ack. `receipts` are the deliveries that were read by it."""

    acked: tuple[MessageId, ...]
    already_acked: tuple[MessageId, ...]
    unknown: tuple[MessageId, ...]
    receipts: tuple[Delivery, ...]
    mailboxes: tuple[MailboxCounts, ...]


@value
class Fetched:
    """The result of a fetch: seq -> (last_fetched_at, fetch_count) from before it."""

    before: dict[Seq, tuple[int | None, int]]
    mailboxes: tuple[MailboxCounts, ...]


@value
class Stamp:
    """A time to keep with one delivery (`seq`) or, with `up_to`, with all of `agent` up to it."""

    kind: StampKind
    agent: AgentName
    seq: Seq
    at: int
    reason: str | None = None
    up_to: bool = False


@dataclass(frozen=True, slots=True)
class Backup:
    """A verified backup file."""

    path: Path
    size_bytes: int
    sha256: str
    epoch: str
    schema_version: int


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser: digests (hex) of its cookie and of the admin token that opened it."""

    sha256: str
    token_sha256: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action of the operator. `detail` has what was asked, without message bodies.

    `way` is `page` for a click, `api` for a call with the admin token, `link` for the link of a
    question, which somebody had who need not be signed in.
    """

    at: int
    address: str
    way: str
    action: str
    agent: AgentName | None
    detail: dict[str, object]
    outcome: str


@dataclass(frozen=True, slots=True)
class Flow:
    """How many deliveries went from one agent to another."""

    sender: AgentName
    agent: AgentName
    count: int


@dataclass(frozen=True, slots=True)
class Flows:
    """Who talks to whom. `since` (ms) is set when the answer begins later than was asked."""

    flows: list[Flow]
    since: int | None


@dataclass(frozen=True, slots=True)
class Crossing:
    """When one delivery reached each hop (ms; None: not yet)."""

    agent: AgentName
    stored_at: int
    pushed_at: int | None
    received_at: int | None
    accepted_at: int | None
    fetched_at: int | None
    read_at: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """A message that a search found; `recipients` maps each to whether it has read it."""

    message: Message
    recipients: dict[AgentName, bool]
    is_archived: bool


@dataclass(frozen=True, slots=True)
class SearchPage:
    """What a search found, newest first.

    `before` is where to go on, None at the end. A search for text looks through a bounded part at
    a time: `is_cut` says that there may be more though the page is not full, and `reached_at`
    (ms) how far back it has looked.
    """

    messages: list[Found]
    before: int | None
    is_cut: bool
    reached_at: int | None
