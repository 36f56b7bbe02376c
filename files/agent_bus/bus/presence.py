"""Who can be reached right now.

A node's watcher holds a lease: the node's newest stream with `role=watcher`, renewed by
`POST /api/presence`. Nothing else looks like a watcher, so an agent is never shown as wakeable
because somebody reads its inbox. All ages are monotonic: a clock that jumps changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent_bus.core import states

if TYPE_CHECKING:
    from agent_bus.bus.directory import Directory
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import AgentName, NodeName
    from agent_bus.core.states import AgentStatus, GatewayKind


@dataclass(slots=True)
class Lease:
    """A connected watcher. `gateways` maps its agents to whether their gateway answers."""

    stream: object
    since_at: int
    renewed: float
    version: str | None = None
    gateways: dict[AgentName, bool] = field(default_factory=dict)
    unconfigured: tuple[str, ...] = ()
    gateway_kind: GatewayKind = states.UNKNOWN


class Presence:
    """Leases of nodes and signs of life of agents.

    Args:
        directory: who lives where. Its `last_seen_at` are the first signs of life.
        lease_s: a lease lapses when it is not renewed for this long.
        offline_after_s: an agent is offline after this long without a sign of life.
    """

    def __init__(
        self, *, directory: Directory, clock: Clock, lease_s: float, offline_after_s: float
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._lease_s = lease_s
        self._offline_after_s = offline_after_s
        self._leases: dict[NodeName, Lease] = {}
        self._seen: dict[AgentName, tuple[float, int]] = {}
        self._unsaved: set[AgentName] = set()
        self._muted: dict[AgentName, tuple[float, int]] = {}
        for name, agent in directory.agents.items():
            if agent.last_seen_at is not None:
                self._remember(name, agent.last_seen_at)

    def opened(self, node: NodeName, stream: object, agents: tuple[AgentName, ...]) -> None:
        """A watcher's stream began: from now on it holds the lease."""
        old = self._leases.get(node)
        lease = Lease(stream, self._clock.now_ms(), self._clock.monotonic())
        if old is not None:
            lease.version = old.version
            lease.gateways = old.gateways
            lease.gateway_kind = old.gateway_kind
        self._leases[node] = lease
        self.seen(*agents)

    def closed(self, node: NodeName, stream: object) -> None:
        """A watcher's stream ended: drop the lease, unless a newer stream holds it.

        The end is no sign of life: when a node loses power its stream ends, too, 30 s later.
        """
        lease = self._leases.get(node)
        if lease is not None and lease.stream is stream:
            del self._leases[node]

    def renewed(
        self,
        node: NodeName,
        *,
        version: str,
        gateways: dict[AgentName, bool],
        unconfigured: tuple[str, ...],
        gateway_kind: GatewayKind,
    ) -> None:
        """A watcher reported: renew its lease, if it has one."""
        self.seen(*gateways)
        lease = self._leases.get(node)
        if lease is not None:
            lease.renewed = self._clock.monotonic()
            lease.version = version
            lease.gateways = gateways
            lease.unconfigured = unconfigured
            lease.gateway_kind = gateway_kind

    def seen(self, *agents: AgentName) -> None:
        """Note a sign of life of these agents."""
        now = (self._clock.monotonic(), self._clock.now_ms())
        for agent in agents:
            self._seen[agent] = now
            self._unsaved.add(agent)

    def mute(self, agent: AgentName, *, for_s: float) -> None:
        """Ask watchers to leave an agent alone; 0 ends it. Forgotten when the hub restarts."""
        self._muted[agent] = (
            self._clock.monotonic() + for_s,
            self._clock.now_ms() + int(for_s * 1000),
        )

    def muted_until(self, agent: AgentName) -> int | None:
        """Wall-clock ms of the end of an agent's mute; None when it is not muted."""
        muted = self._muted.get(agent)
        if muted is None or self._clock.monotonic() >= muted[0]:
            return None
        return muted[1]

    def lease(self, node: NodeName | None) -> Lease | None:
        """The node's lease, unless it has lapsed."""
        lease = self._leases.get(node) if node is not None else None
        if lease is None or self._clock.monotonic() - lease.renewed > self._lease_s:
            return None
        return lease

    def status(self, agent: AgentName) -> AgentStatus:
        """Whether an agent can be reached now."""
        known = self._directory.agents.get(agent)
        if known is not None and known.retired_at is not None:
            return states.RETIRED
        lease = self.lease(self._directory.node_of(agent))
        if lease is not None:
            return states.ONLINE if lease.gateways.get(agent, True) else states.GATEWAY_DOWN
        seen = self._seen.get(agent)
        if seen is not None and self._clock.monotonic() - seen[0] < self._offline_after_s:
            return states.DEAF
        return states.OFFLINE

    def last_seen_at(self, agent: AgentName) -> int | None:
        """Wall-clock ms of the last sign of life in this process's lifetime."""
        seen = self._seen.get(agent)
        return None if seen is None else seen[1]

    def take_unsaved(self) -> dict[AgentName, int]:
        """Signs of life since the last call, for the store to keep."""
        unsaved = {agent: self._seen[agent][1] for agent in self._unsaved}
        self._unsaved.clear()
        return unsaved

    def _remember(self, agent: AgentName, at: int) -> None:
        """Take over when an earlier process last saw an agent (wall-clock ms).

        Otherwise every agent would be offline instead of deaf after a restart, until the watchers
        are back.
        """
        age_s = max(0, self._clock.now_ms() - at) / 1000
        self._seen[agent] = (self._clock.monotonic() - age_s, at)
