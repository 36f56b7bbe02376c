"""Who can be reached right now.

A node's watcher holds a lease: the node's newest stream with `role=watcher`, renewed by
`POST /api/presence`. Nothing else looks like a watcher, so an agent is never shown as wakeable
because somebody reads its inbox. An agent of a guest, which has no watcher, reads when it asks.
All ages are monotonic: a clock that jumps changes nothing.

With several hubs, every one knows the leases of all. What changes one is told to all hubs and
heard by all in one order; the stream that was told last has the lease.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agent_bus.core import states
from agent_bus.store import cluster as told
from agent_bus.store.cluster import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent_bus.bus.directory import Directory
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.hold import Hold
    from agent_bus.core.model import AgentName, NodeName
    from agent_bus.core.states import AgentStatus, GatewayKind
    from agent_bus.store.cluster import Cluster

SEEN_TOLD_S: Final = 10.0
"""An agent's signs of life are told to other hubs at most this often: it is offline after minutes
without one."""

AGAIN_S: Final = 10.0
"""A lease that this hub has not heard itself tell for this time is told again."""


@dataclass(slots=True)
class Lease:
    """A connected watcher. `gateways` maps its agents to whether their gateway answers.

    `hub` is empty for a stream of this hub, which alone knows the `stream`; `term` names it among
    those of its hub. `is_heard` once this hub has heard its own word of it.
    """

    stream: object
    since_at: int
    renewed: float
    version: str | None = None
    gateways: dict[AgentName, bool] = field(default_factory=dict)
    unconfigured: tuple[str, ...] = ()
    gateway_kind: GatewayKind = states.UNKNOWN
    hub: str = ""
    term: int = 0
    told: float = 0.0
    is_heard: bool = False


class Presence:
    """Leases of nodes and signs of life of agents.

    Args:
        cluster: the hubs that have to know.
        directory: who lives where. Its `last_seen_at` are the first signs of life.
        lease_s: a lease lapses when it is not renewed for this long.
        offline_after_s: an agent is offline after this long without a sign of life.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        clock: Clock,
        lease_s: float,
        offline_after_s: float,
        cluster: Cluster = ALONE,
    ) -> None:
        self._cluster = cluster
        self._directory = directory
        self._clock = clock
        self._lease_s = lease_s
        self._offline_after_s = offline_after_s
        self._leases: dict[NodeName, Lease] = {}
        self._seen: dict[AgentName, tuple[float, int]] = {}
        self._unsaved: set[AgentName] = set()
        self.hold_of: Callable[[AgentName], Hold | None] = lambda _: None
        """Why an agent is not woken; set by who joins the parts."""
        self._terms = itertools.count(clock.now_ms())
        self._renewed: set[NodeName] = set()
        self._saved: set[AgentName] = set()
        self._seen_told: dict[AgentName, float] = {}
        self._unheard: dict[NodeName, told.LeaseReported | told.LeaseDropped] = {}
        for name, agent in directory.agents.items():
            if agent.last_seen_at is not None:
                self._remember(name, agent.last_seen_at)

    def opened(self, node: NodeName, stream: object, agents: tuple[AgentName, ...]) -> None:
        """A watcher's stream began: from now on it holds the lease."""
        old = self._leases.get(node)
        lease = Lease(stream, self._clock.now_ms(), self._clock.monotonic())
        lease.term = next(self._terms)
        if old is not None:
            lease.version = old.version
            lease.gateways = old.gateways
            lease.gateway_kind = old.gateway_kind
        self._leases[node] = lease
        self._unheard.pop(node, None)
        self.seen(*agents)
        self._tell_taken(node, lease)

    def closed(self, node: NodeName, stream: object) -> None:
        """A watcher's stream ended: drop the lease, unless a newer stream holds it.

        The end is no sign of life: when a node loses power its stream ends, too, 30 s later.
        """
        lease = self._leases.get(node)
        if lease is not None and lease.stream is stream:
            del self._leases[node]
            self._tell(told.LeaseDropped(node, lease.term))

    def renewed(
        self,
        node: NodeName,
        *,
        version: str,
        gateways: dict[AgentName, bool],
        unconfigured: tuple[str, ...],
        gateway_kind: GatewayKind,
    ) -> None:
        """A watcher reported: renew its lease, if it has one, whichever hub holds its stream."""
        self.seen(*gateways)
        lease = self._leases.get(node)
        if lease is None:
            return
        report = told.LeaseReported(node, version, gateways, unconfigured, gateway_kind)
        if _tells_anew(lease, report):
            self._tell(report)
        else:
            self._renewed.add(node)
        self._take_report(lease, report)

    def seen(self, *agents: AgentName) -> None:
        """Note a sign of life of these agents."""
        now = (self._clock.monotonic(), self._clock.now_ms())
        for agent in agents:
            self._seen[agent] = now
            self._unsaved.add(agent)

    def lease(self, node: NodeName | None) -> Lease | None:
        """The node's lease, unless it has lapsed."""
        lease = self._leases.get(node) if node is not None else None
        if lease is None or self._clock.monotonic() - lease.renewed > self._lease_s:
            return None
        if lease.hub and not self._cluster.lives(lease.hub):
            return None
        return lease

    def is_elsewhere(self, node: NodeName) -> bool:
        """Whether the node's watcher is connected to another hub."""
        lease = self.lease(node)
        return lease is not None and bool(lease.hub)

    def status(self, agent: AgentName) -> AgentStatus:
        """Whether an agent can be reached now."""
        node = self._directory.node_of(agent)
        if node is None:
            known = self._directory.agents.get(agent)
            if known is not None and known.retired_at is not None:
                return states.RETIRED
        lease = self.lease(node)
        if lease is not None:
            return self._held(agent) if lease.gateways.get(agent, True) else states.GATEWAY_DOWN
        if self._directory.is_guest(node):
            return states.GUEST
        seen = self._seen.get(agent)
        if seen is not None and self._clock.monotonic() - seen[0] < self._offline_after_s:
            return states.DEAF
        return states.OFFLINE

    def _held(self, agent: AgentName) -> AgentStatus:
        """Online, or what keeps an agent that could be woken from it; a mute is shown apart."""
        hold = self.hold_of(agent)
        if hold is None or hold.reason == states.MUTED:
            return states.ONLINE
        return hold.reason

    def last_seen_at(self, agent: AgentName) -> int | None:
        """Wall-clock ms of the last sign of life in this process's lifetime."""
        seen = self._seen.get(agent)
        return None if seen is None else seen[1]

    def take_unsaved(self) -> dict[AgentName, int]:
        """Signs of life since the last call, for the store to keep."""
        unsaved = {agent: self._seen[agent][1] for agent in self._unsaved}
        if self._cluster.is_plural:
            self._saved |= self._unsaved
        self._unsaved.clear()
        return unsaved

    # What other hubs tell, and are told

    def hear_taken(self, hub: str, taken: told.LeaseTaken) -> object | None:
        """A watcher's stream began at a hub; answers the stream here that it supersedes.

        A stream of this hub whose own word has not been heard yet is the newer one.
        """
        lease = self._leases.get(taken.node)
        is_own_lease = lease is not None and not lease.hub
        if hub == self._cluster.name:
            if lease is not None and is_own_lease and lease.term == taken.term:
                lease.is_heard = True
            elif not is_own_lease:  # it has ended here, and is dropped next
                self._leases.pop(taken.node, None)
            return None
        self._see(self._directory.agents_of(taken.node))
        if lease is not None and is_own_lease and not lease.is_heard:
            return None
        self._leases[taken.node] = Lease(
            None,
            taken.since_at,
            self._clock.monotonic(),
            taken.version,
            taken.gateways,
            taken.unconfigured,
            taken.gateway_kind,
            hub,
            taken.term,
        )
        return lease.stream if lease is not None else None

    def hear_report(self, report: told.LeaseReported) -> None:
        """A watcher reported to another hub."""
        self._see(report.gateways)
        lease = self._leases.get(report.node)
        if lease is not None:
            self._take_report(lease, report)

    def hear_own(self, fact: told.LeaseReported | told.LeaseDropped) -> None:
        """What this hub has told has its place in the common order."""
        if self._unheard.get(fact.node) == fact:
            del self._unheard[fact.node]

    def hear_dropped(self, hub: str, dropped: told.LeaseDropped) -> None:
        """A watcher's stream ended at another hub."""
        lease = self._leases.get(dropped.node)
        if lease is not None and (lease.hub, lease.term) == (hub, dropped.term):
            del self._leases[dropped.node]

    def hear_beat(self, beat: told.Beat) -> None:
        """What another hub has noticed: renewed leases and signs of life."""
        now = self._clock.monotonic()
        for node in beat.renewed:
            if node in self._leases:
                self._leases[node].renewed = now
        for agent, at in beat.seen.items():
            if self._seen.get(agent, (0.0, 0))[1] < at:
                self._remember(agent, at)

    def hear_ended(self, hub: str) -> None:
        """Another hub has stopped, or began anew: its leases are gone."""
        for node in [node for node, lease in self._leases.items() if lease.hub == hub]:
            del self._leases[node]

    def take_untold(self) -> told.Beat:
        """What was noticed here since the last call, for the other hubs."""
        renewed, self._renewed = tuple(sorted(self._renewed)), set()
        now = self._clock.monotonic()
        seen = {}
        for agent in self._unsaved | self._saved:
            if now - self._seen_told.get(agent, -math.inf) >= SEEN_TOLD_S:
                self._seen_told[agent] = now
                seen[agent] = self._seen[agent][1]
        self._saved.clear()
        for node, lease in self._leases.items():
            if not lease.hub and not lease.is_heard and now - lease.told >= AGAIN_S:
                self._tell_taken(node, lease)  # the database was away when it was told
        return told.Beat(0, renewed, seen)

    def tell_again(self) -> None:
        """Tell what the other hubs have not heard, since the database was away."""
        for node, lease in self._leases.items():
            if not lease.hub and not lease.is_heard:
                self._tell_taken(node, lease)
        for fact in self._unheard.values():
            self._cluster.tell(fact)

    def _tell(self, fact: told.LeaseReported | told.LeaseDropped) -> None:
        if self._cluster.is_plural:
            self._unheard[fact.node] = fact
        self._cluster.tell(fact)

    def _tell_taken(self, node: NodeName, lease: Lease) -> None:
        lease.told = self._clock.monotonic()
        self._cluster.tell(
            told.LeaseTaken(
                node,
                lease.term,
                lease.since_at,
                lease.version,
                lease.gateways,
                lease.unconfigured,
                lease.gateway_kind,
            )
        )

    def _see(self, agents: Iterable[AgentName]) -> None:
        """Another hub has seen these agents, and keeps it."""
        now = (self._clock.monotonic(), self._clock.now_ms())
        self._seen.update(dict.fromkeys(agents, now))

    def _take_report(self, lease: Lease, report: told.LeaseReported) -> None:
        lease.renewed = self._clock.monotonic()
        lease.version = report.version
        lease.gateways = report.gateways
        lease.unconfigured = report.unconfigured
        lease.gateway_kind = report.gateway_kind

    def _remember(self, agent: AgentName, at: int) -> None:
        """Take over when an earlier process last saw an agent (wall-clock ms).

        Otherwise every agent would be offline instead of deaf after a restart, until the watchers
        are back.
        """
        age_s = max(0, self._clock.now_ms() - at) / 1000
        self._seen[agent] = (self._clock.monotonic() - age_s, at)


def _tells_anew(lease: Lease, report: told.LeaseReported) -> bool:
    """Whether a report differs from what the lease says already."""
    known = (lease.version, lease.gateways, lease.unconfigured, lease.gateway_kind)
    return known != (report.version, report.gateways, report.unconfigured, report.gateway_kind)
