"""Probes: ask watchers whether they could wake their agents, without waking anybody.

A probe is an event on the watchers' streams; nothing is stored. Each watcher checks each agent's
gateway and answers by `POST /api/wakes`.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from agent_bus.bus.broker import Broker, Entry
from agent_bus.core import sse
from agent_bus.runtime.greenlets import Event
from agent_bus.store.cluster import ALONE, ProbeAnswered, ProbeAsked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.bus.directory import Directory
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import AgentName, NodeName
    from agent_bus.store.cluster import Cluster

AWAY: Final = "no watcher is connected from its node"
GUEST: Final = "it is a guest, which has no watcher: it reads when it asks"


class Probe:
    """One round: who was asked, and what has been answered."""

    def __init__(self, agents: Sequence[AgentName], *, started: float) -> None:
        self.id = secrets.token_hex(8)
        self.started = started
        self.waiting = set(agents)
        self.results: dict[AgentName, dict[str, Any]] = {}
        self.done = Event()

    def answer(self, agent: AgentName, result: dict[str, Any]) -> None:
        """Take one agent's result."""
        self.results[agent] = result
        self.waiting.discard(agent)
        if not self.waiting:
            self.done.set()


class Prober:
    """Runs probes and takes their answers.

    Args:
        is_elsewhere: whether a node's watcher is connected to another hub of the cluster.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        directory: Directory,
        clock: Clock,
        is_elsewhere: Callable[[NodeName], bool] = lambda _node: False,
        cluster: Cluster = ALONE,
    ) -> None:
        self._broker = broker
        self._is_elsewhere = is_elsewhere
        self._cluster = cluster
        self._directory = directory
        self._clock = clock
        self._open: dict[str, Probe] = {}

    def run(
        self, agents: Sequence[AgentName], *, timeout_s: float
    ) -> tuple[str, list[dict[str, Any]]]:
        """Ask the watchers of these agents; answers (probe id, one result per agent).

        Blocks this greenlet until all have answered, at most `timeout_s`. A result has agent,
        node, ok, gateway_ms, total_ms and, when not ok, a reason.
        """
        probe = Probe(agents, started=self._clock.monotonic())
        self._open[probe.id] = probe
        try:
            for node, theirs in self._by_node(agents).items():
                if node is not None and self._ask(probe.id, node, theirs):
                    continue
                why = GUEST if self._directory.is_guest(node) else AWAY
                for agent in theirs:
                    probe.answer(agent, _failed(why))
            probe.done.wait(timeout_s)
        finally:
            del self._open[probe.id]
        silent = _failed(f"its watcher did not answer within {timeout_s:g} s")
        return probe.id, [
            {
                "agent": agent,
                "node": self._directory.node_of(agent),
                **probe.results.get(agent, silent),
            }
            for agent in agents
        ]

    def report(
        self,
        probe_id: str | None,
        agent: AgentName,
        *,
        reason: str | None,
        duration_ms: float | None,
    ) -> None:
        """Take a watcher's answer for one agent; it is dropped when the probe has finished.

        The probe may be another hub's.
        """
        if probe_id and probe_id not in self._open:
            self._cluster.tell(ProbeAnswered(probe_id, agent, reason, duration_ms))
        self.take(probe_id, agent, reason=reason, duration_ms=duration_ms)

    def take(
        self,
        probe_id: str | None,
        agent: AgentName,
        *,
        reason: str | None,
        duration_ms: float | None,
    ) -> None:
        """Take an answer to a probe of this hub."""
        probe = self._open.get(probe_id or "")
        if probe is not None:
            total_ms = (self._clock.monotonic() - probe.started) * 1000
            probe.answer(
                agent,
                {
                    "ok": reason is None,
                    "gateway_ms": duration_ms,
                    "total_ms": round(total_ms, 3),
                    "reason": reason,
                },
            )

    def ask_here(self, probe_id: str, node: NodeName, agents: Sequence[AgentName]) -> bool:
        """Ask the watcher whose stream is at this hub; False when there is none."""
        watcher = self._broker.watcher_of(node)
        if watcher is None:
            return False
        fields: dict[str, object] = {"probe_id": probe_id, "agents": list(agents)}
        watcher.put(Entry(sse.control("probe", fields)))
        return True

    def _ask(self, probe_id: str, node: NodeName, agents: Sequence[AgentName]) -> bool:
        """Ask a node's watcher, at whichever hub it is; False when it is at none."""
        if self.ask_here(probe_id, node, agents):
            return True
        if not self._is_elsewhere(node):
            return False
        self._cluster.tell(ProbeAsked(probe_id, node, tuple(agents)))
        return True

    def _by_node(self, agents: Sequence[AgentName]) -> dict[Any, list[AgentName]]:
        found: dict[Any, list[AgentName]] = {}
        for agent in agents:
            found.setdefault(self._directory.node_of(agent), []).append(agent)
        return found


def _failed(reason: str) -> dict[str, Any]:
    return {"ok": False, "gateway_ms": None, "total_ms": None, "reason": reason}
