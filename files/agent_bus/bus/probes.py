"""Probes: ask watchers whether they could wake their agents, without waking anybody.

A probe is an event on the watchers' streams; nothing is stored. Each watcher checks each agent's
gateway and answers by `POST /api/wakes`.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from agent_bus.bus.broker import Broker, Entry
from agent_bus.core import sse
from agent_bus.runtime.greenlets import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.bus.directory import Directory
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import AgentName


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
    """Runs probes and takes their answers."""

    def __init__(self, *, broker: Broker, directory: Directory, clock: Clock) -> None:
        self._broker = broker
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
                watcher = self._broker.watcher_of(node) if node is not None else None
                if watcher is None:
                    for agent in theirs:
                        probe.answer(agent, _failed("no watcher is connected from its node"))
                    continue
                fields: dict[str, object] = {"probe_id": probe.id, "agents": theirs}
                watcher.put(Entry(sse.control("probe", fields)))
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
        """Take a watcher's answer for one agent; it is dropped when the probe has finished."""
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

    def _by_node(self, agents: Sequence[AgentName]) -> dict[Any, list[AgentName]]:
        found: dict[Any, list[AgentName]] = {}
        for agent in agents:
            found.setdefault(self._directory.node_of(agent), []).append(agent)
        return found


def _failed(reason: str) -> dict[str, Any]:
    return {"ok": False, "gateway_ms": None, "total_ms": None, "reason": reason}
