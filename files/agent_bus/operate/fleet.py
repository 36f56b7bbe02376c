"""The fleet's facts, as an operator is told them.

The dashboard, `GET /api/agents` and so `playbooks/status.yml` all read them here: no two of them
can differ. All is in memory except the age of unread mail, which is read from the database after a
change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_bus.core import alerts, states
from agent_bus.core.model import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.guards.wake_gate import WakeGate
    from agent_bus.bus.presence import Presence
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.hold import Hold
    from agent_bus.core.model import Acked, AgentName, NodeName, Sent, Stamp
    from agent_bus.core.states import AgentStatus, GatewayKind
    from agent_bus.store.contract import Vitals

PROBLEMS: Final[dict[AgentStatus, int]] = {
    states.GATEWAY_DOWN: 3,
    states.DEAF: 3,
    states.OFFLINE: 2,
}
"""Status -> how far up a list it goes; mail that is unread for too long counts 1."""
OLDEST_S: Final = 5.0
"""No event announces an expiry, so the age of the oldest unread message may be this old."""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """One agent; times in ms. `problem` says how far up a list it goes; 0 without a problem."""

    name: AgentName
    node: NodeName | None
    status: AgentStatus
    problem: int
    watcher_version: str | None
    unread: int
    unfetched: int
    oldest_unread_at: int | None
    last_wake_at: int | None
    last_seen_at: int | None
    hold: Hold | None


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node with its active agents; `gateway` says whether all its gateways answer.

    A guest has no watcher: its agents read when they ask.
    """

    node: NodeName
    guest: bool
    agents: tuple[AgentName, ...]
    connected: bool
    watcher_version: str | None
    gateway: bool | None
    gateway_kind: GatewayKind | None
    stream_since: int | None
    last_seen_at: int | None
    unconfigured: tuple[str, ...]


class Fleet:
    """See the module; an observer of the bus, used in the loop's thread."""

    def __init__(
        self,
        *,
        vitals: Vitals,
        counters: Counters,
        directory: Directory,
        presence: Presence,
        gate: WakeGate,
        clock: Clock,
    ) -> None:
        self._vitals = vitals
        self._counters = counters
        self._directory = directory
        self._presence = presence
        self._gate = gate
        self._clock = clock
        self._last_wakes: dict[AgentName, int] = {}
        self._woken: dict[AgentName, int] = {}
        self._oldest: dict[AgentName, int] = {}
        self._looked: float | None = None

    @property
    def shows_all(self) -> bool:
        """Nothing by itself."""
        return False

    def start(self) -> None:
        """Read what was known before the start."""
        self._last_wakes = self._vitals.last_wakes()

    def on_sent(self, _sent: Sent) -> None:
        """A message is durable."""
        self._looked = None

    def on_passed(self, _expires_at: int | None) -> None:
        """A message is durable, by another hub."""
        self._looked = None

    def on_acked(self, _acked: Acked) -> None:
        """Deliveries were read."""
        self._looked = None

    def on_report(self, stamp: Stamp) -> None:
        """A watcher reported what became of a wake."""
        if stamp.kind == states.ACCEPTED:
            self._last_wakes[stamp.agent] = stamp.at
            self._woken[stamp.agent] = stamp.at

    def hear_wake(self, stamp: Stamp) -> None:
        """A watcher reported to another hub that a gateway took a wake."""
        self._last_wakes[stamp.agent] = max(stamp.at, self._last_wakes.get(stamp.agent, 0))

    def take_woken(self) -> dict[AgentName, int]:
        """Wakes that gateways accepted since the last call, for other hubs (ms)."""
        woken, self._woken = self._woken, {}
        return woken

    def refresh(self, *, anyway: bool = False) -> None:
        """Read the age of unread mail if it may have changed; blocks the greenlet for that."""
        now = self._clock.monotonic()
        if not anyway and self._looked is not None and now - self._looked < OLDEST_S:
            return
        self._looked = now  # before the read: a change during it asks for another one
        try:
            self._oldest = self._vitals.oldest_unread()
        except BaseException:
            self._looked = None
            raise

    @property
    def oldest(self) -> Mapping[AgentName, int]:
        """When the oldest unread message of each agent that has one was stored, in ms."""
        return {
            name: at for name, at in self._oldest.items() if self._counters.mailbox(name).unread
        }

    def agents(self) -> list[AgentFacts]:
        """All agents except the operator, retired ones included, by name."""
        oldest = self.oldest
        known = sorted(self._directory.agents)
        return [self._agent(name, oldest.get(name)) for name in known if name != OPERATOR]

    def nodes(self) -> list[NodeFacts]:
        """All nodes of the roster, by name."""
        return [self._node(*entry) for entry in sorted(self._directory.nodes.items())]

    def _agent(self, name: AgentName, oldest: int | None) -> AgentFacts:
        known = self._directory.agents[name]
        lease = self._presence.lease(known.node)
        status = self._presence.status(name)
        box = self._counters.mailbox(name)
        age_s = 0 if oldest is None else (self._clock.now_ms() - oldest) / 1000
        problem = PROBLEMS.get(status, 0)
        if status != states.RETIRED and age_s > alerts.UNREAD_S:
            problem = max(problem, 1)
        return AgentFacts(
            name=name,
            node=known.node,
            status=status,
            problem=problem,
            watcher_version=lease.version if lease else None,
            unread=box.unread,
            unfetched=box.unfetched,
            oldest_unread_at=oldest,
            last_wake_at=self._last_wakes.get(name),
            last_seen_at=self._presence.last_seen_at(name) or known.last_seen_at,
            hold=self._gate.hold_of(name),
        )

    def _node(self, node: NodeName, agents: tuple[AgentName, ...]) -> NodeFacts:
        presence = self._presence
        lease = presence.lease(node)
        seen = [at for name in agents if (at := presence.last_seen_at(name)) is not None]
        return NodeFacts(
            node=node,
            guest=self._directory.is_guest(node),
            agents=agents,
            connected=lease is not None,
            watcher_version=lease.version if lease else None,
            gateway_kind=lease.gateway_kind if lease else None,
            gateway=all(lease.gateways.values()) if lease and lease.gateways else None,
            stream_since=lease.since_at if lease else None,
            last_seen_at=max(seen, default=None),
            unconfigured=tuple(lease.unconfigured) if lease else (),
        )
