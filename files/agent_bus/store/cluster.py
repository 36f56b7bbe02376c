"""What the hubs of one bus tell each other, and `Alone`: the cluster of a hub that has no others.

Hubs that share a database are all active. What one of them does reaches the memory of all others
as facts. Every hub hears all facts, its own included, in one order, that of the commits: so all
come to the same picture of who holds which lease. SQLite has one hub, which tells nobody anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.guards.pauses import Scope
    from agent_bus.core.guards.storms.ladder import Step
    from agent_bus.core.guards.storms.signals import Said, Signal
    from agent_bus.core.model import Acked, Agent, AgentName, MailboxCounts, NodeName, Roster, Sent
    from agent_bus.core.states import GatewayKind, HoldReason


@dataclass(frozen=True, slots=True)
class LeaseTaken:
    """A watcher's stream began at a hub; it supersedes every older one of its node.

    `term` names the stream among all that its hub ever opened.
    """

    node: NodeName
    term: int
    since_at: int
    version: str | None = None
    gateways: dict[AgentName, bool] = field(default_factory=dict)
    unconfigured: tuple[str, ...] = ()
    gateway_kind: GatewayKind = "unknown"


@dataclass(frozen=True, slots=True)
class LeaseReported:
    """A watcher reported, at whichever hub: what its node's lease says of it now."""

    node: NodeName
    version: str
    gateways: dict[AgentName, bool]
    unconfigured: tuple[str, ...]
    gateway_kind: GatewayKind


@dataclass(frozen=True, slots=True)
class LeaseDropped:
    """A watcher's stream ended."""

    node: NodeName
    term: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A hub lives; with what it has noticed since its last beat.

    `told` is the position up to which it has heard all. `renewed` are nodes whose watchers
    reported nothing new, `seen` (ms) signs of life, `woken` (ms) wakes that gateways accepted.
    `host` is what the database's programs on the hub's host say of themselves (JSON), if anew.
    `wakes` are those that were counted: (agent, ms ago, kind).
    """

    told: int
    renewed: tuple[NodeName, ...] = ()
    seen: dict[AgentName, int] = field(default_factory=dict)
    woken: dict[AgentName, int] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    wakes: tuple[Sequence[Any], ...] = ()

    def joined(self, later: Beat) -> Beat:
        """What this one, which was not written, and a later one have noticed."""
        renewed = tuple(sorted({*self.renewed, *later.renewed}))
        seen, woken = self.seen | later.seen, self.woken | later.woken
        wakes = (*self.wakes, *later.wakes)
        return Beat(later.told, renewed, seen, woken, later.host or self.host, wakes)


@dataclass(frozen=True, slots=True)
class HubEnded:
    """A process of a hub has stopped, or another took its place; it holds no leases any more."""

    process: str


@dataclass(frozen=True, slots=True)
class Muted:
    """The operator muted an agent until a time (ms); 0 ends it.

    Hubs of an earlier release know no pauses. `is_pause` says that a pause of this agent was told,
    too, and that others go by that.
    """

    agent: AgentName
    until_at: int
    is_pause: bool = False


@dataclass(frozen=True, slots=True)
class PausePut:
    """The operator paused an agent, a group or the fleet: see `core/guards/pauses.py`."""

    scope: Scope
    name: str
    reason: HoldReason
    since_at: int
    until_at: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class PauseEnded:
    """The operator ended a pause."""

    scope: Scope
    name: str


@dataclass(frozen=True, slots=True)
class WakeAsked:
    """The operator wants an agent woken; the hub that holds its node's lease asks the watcher."""

    agent: AgentName
    node: NodeName


@dataclass(frozen=True, slots=True)
class ProbeAsked:
    """A probe for a node; the hub that holds its lease asks the watcher."""

    probe_id: str
    node: NodeName
    agents: tuple[AgentName, ...]


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    """A watcher's answer to a probe that another hub runs."""

    probe_id: str
    agent: AgentName
    reason: str | None
    duration_ms: float | None


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The operator signed in."""

    sha256: str
    token_sha256: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The operator signed out."""

    sha256: str


@dataclass(frozen=True, slots=True)
class StormTold:
    """A storm took a step of its ladder: see `core/guards/storms/ladder.py`."""

    key: str
    signal: Signal
    agents: tuple[AgentName, ...]
    since_at: int
    step: Step


Fact = (
    LeaseTaken
    | LeaseReported
    | LeaseDropped
    | Beat
    | HubEnded
    | Muted
    | PausePut
    | PauseEnded
    | WakeAsked
    | ProbeAsked
    | ProbeAnswered
    | SessionOpened
    | SessionEnded
    | StormTold
)


@dataclass(frozen=True, slots=True)
class HubFacts:
    """One hub: under which URL it serves, which release runs, and whether it lives."""

    name: str
    url: str | None
    version: str
    is_alive: bool
    seen_at: int


class Writing(NamedTuple):
    """How long ago (s) a hub's last write was acknowledged, and how long it had written then.

    A pause in which it missed a beat begins the second one anew.
    """

    last_s_ago: float
    for_s: float


class Hearer(Protocol):
    """Hears in the loop what other hubs commit, in the order of all commits; must not block."""

    def wants(self, agents: Sequence[AgentName]) -> bool:
        """Whether a message to these agents is needed whole: something here shows it."""

    def wants_receipts(self) -> bool:
        """Whether something here shows who has read what."""

    def on_sent(self, sent: Sent) -> None:
        """Another hub stored a message that is wanted."""

    def on_passed(
        self, first_seq: int, agents: Sequence[AgentName], expires_at: int | None
    ) -> None:
        """Another hub stored a message that nothing here shows; counters follow."""

    def on_said(self, said: Said) -> None:
        """What is known of a message that another hub stored and nothing here shows."""

    def on_missed(self) -> None:
        """Streams and pages may have missed something: let them begin anew."""

    def on_acked(self, acked: Acked) -> None:
        """Deliveries were read at another hub; their receipts are wanted."""

    def on_mailboxes(self, mailboxes: Sequence[MailboxCounts]) -> None:
        """Counters changed at another hub."""

    def on_roster(self, roster: Roster, agents: Sequence[Agent]) -> None:
        """Another hub has put a roster; what is stored now."""

    def on_fact(self, hub: str, fact: Fact) -> None:
        """A hub told this; `hub` may be one's own."""

    def beat(self) -> Beat:
        """What this hub has noticed since the last call; `told` is filled in later."""

    def on_hubs(self, live_count: int) -> None:
        """How many hubs live has changed, this one counted."""

    def on_back(self) -> None:
        """Writes are acknowledged again after a while in which what was told got lost."""

    def on_fence(self, *, is_fenced: bool) -> None:
        """Send clients to other hubs and take none, or take them again."""


class Cluster(Protocol):
    """All hubs on one database, as one of them sees them; used in the loop's thread."""

    @property
    def name(self) -> str:
        """This process's name among the others; another one after a restart."""

    @property
    def is_plural(self) -> bool:
        """Whether there may be other hubs."""

    def hear(self, hearer: Hearer) -> None:
        """Tell `hearer` all facts from now on, and begin to live; blocks until the first beat."""

    def tell(self, fact: Fact) -> None:
        """Let all hubs hear a fact; returns at once, it may be lost with this process."""

    def assure(self, *facts: Fact) -> None:
        """As `tell`, but blocks until all hubs hear all of them, or none.

        Raises:
            errors.NoPrimaryError: nobody does.
        """

    def lives(self, hub: str) -> bool:
        """Whether a hub has given a sign of life within the last seconds."""

    def leads(self) -> bool:
        """Whether this hub does what one hub does for all; rarely two do for a moment."""

    def writing(self) -> Writing | None:
        """How this hub writes; None: nobody needs to know."""

    def catch_up(self) -> None:
        """Block until this hub has heard all that was acknowledged before now.

        Raises:
            errors.NoPrimaryError: it cannot.
        """

    def settle(self) -> None:
        """Block until every live hub has heard of this hub's last change of the roster."""

    def hubs(self) -> list[HubFacts]:
        """All hubs that are known, by name; blocks for a read. None without a cluster."""

    def keep_link(self, sha256: str, token_sha256: str, expires_at: int) -> None:
        """Keep a one-time sign-in link (steady ms); durable when this returns."""

    def take_link(self, sha256: str) -> str | None:
        """Use a link up: the digest of the token that it stands for, once, while it is valid."""

    def end(self) -> None:
        """Tell the others that this hub stops; blocks until they can know."""


class Alone:
    """The cluster of one hub: nobody to tell, nothing to wait for."""

    name: Final = ""
    is_plural: Final = False

    def hear(self, hearer: Hearer) -> None:
        """Nobody tells anything."""

    def tell(self, fact: Fact) -> None:
        """Nobody hears it."""

    def assure(self, *facts: Fact) -> None:
        """Nobody hears it."""

    def lives(self, hub: str) -> bool:
        """The only hub there is."""
        return not hub

    def leads(self) -> bool:
        """Nobody else does it."""
        return True

    def writing(self) -> None:
        """No other hub asks."""

    def catch_up(self) -> None:
        """Everything is done here."""

    def settle(self) -> None:
        """Nobody is behind."""

    def hubs(self) -> list[HubFacts]:
        """None: they are those of a cluster."""
        return []

    def keep_link(self, sha256: str, token_sha256: str, expires_at: int) -> None:
        """Nothing: the session's memory keeps it."""

    def take_link(self, sha256: str) -> str | None:  # noqa: ARG002 - the protocol's
        """Unknown here."""
        return None

    def end(self) -> None:
        """Nobody to tell."""


ALONE: Final = Alone()
"""There is nothing in it, so one is enough."""
