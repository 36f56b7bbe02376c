"""What watchers report: that they are there, and what became of wakes and probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.core import errors, states
from agent_bus.core.guards.wakes import Wake
from agent_bus.core.model import AgentName, Seq, Stamp
from agent_bus.http.call import Answer, Call

if TYPE_CHECKING:
    from agent_bus.api.models.requests import PresenceBody, WakeReport, WakesBody
    from agent_bus.bus.auth import Authenticator
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.guards.wake_budgets import WakeBudgets
    from agent_bus.bus.hops import Hops
    from agent_bus.bus.presence import Presence
    from agent_bus.bus.probes import Prober
    from agent_bus.core.clock import Clock
    from agent_bus.core.latency import Latency
    from agent_bus.core.states import WakeKind

COUNTED: Final[dict[str, WakeKind]] = {
    states.ACCEPTED: states.WAKE,
    states.ESCALATED: states.ESCALATION,
}
"""Reports of wakes that begin a paid turn; one that coalesced becomes part of another's."""
REMINDER_REASON: Final = "reminder"
"""The reason of an accepted wake that reminds of mail that was fetched but not read."""


class Reports:
    """The endpoints, with what they need."""

    def __init__(
        self,
        *,
        counters: Counters,
        auth: Authenticator,
        presence: Presence,
        hops: Hops,
        latency: Latency,
        prober: Prober,
        budgets: WakeBudgets,
        clock: Clock,
    ) -> None:
        self._counters = counters
        self._auth = auth
        self._presence = presence
        self._hops = hops
        self._latency = latency
        self._clock = clock
        self._prober = prober
        self._budgets = budgets

    def presence(self, call: Call[None, PresenceBody]) -> Answer:
        """Take a watcher's sign of life."""
        body, node = call.body, call.principal.node
        if node is None or call.principal.agent is not None:
            raise errors.ForbiddenError(
                "Only a node's watcher reports presence, with the node's token."
            )
        gateways = {AgentName(a.name): a.gateway == "ok" for a in body.agents}
        foreign = gateways.keys() - set(self._auth.watches(call.principal))
        if foreign:
            raise errors.ForbiddenError(
                f"Not on node {node}: {', '.join(sorted(foreign))}. Leave them "
                "out; if the host's settings still have them, run the site playbook.",
                field="agents",
                agents=sorted(foreign),
            )
        self._presence.renewed(
            node,
            version=body.node_version,
            gateways=gateways,
            unconfigured=tuple(body.unconfigured),
            gateway_kind=body.gateway_kind,
        )
        return Answer(204)

    def wakes(self, call: Call[None, WakesBody]) -> Answer:
        """Take a watcher's reports of what became of wakes."""
        own = self._auth.watches(call.principal)
        now = self._clock.now_ms()
        # An agent that is not watched moved to another node while the report was on its way.
        taken = (self._take(report, now) for report in call.body.reports if report.agent in own)
        self._budgets.note_all([wake for wake in taken if wake is not None])
        return Answer(204)

    def _take(self, report: WakeReport, now: int) -> Wake | None:
        """Take a report; answers the wake that begins a paid turn."""
        agent = AgentName(report.agent)
        if report.event == states.PROBED:
            self._prober.report(
                report.probe_id, agent, reason=report.reason, duration_ms=report.duration_ms
            )
            return None
        assert report.up_to_seq is not None  # the model refuses any other without
        kind = states.ACCEPTED if report.event == states.COALESCED else report.event
        at = now - int(report.age_ms)
        seq = Seq(min(report.up_to_seq, self._counters.head))
        if report.event == states.ACCEPTED and report.reason == REMINDER_REASON:
            return Wake(agent, seq, at, states.REMINDER)
        self._hops.note_report(Stamp(kind, agent, seq, at, report.reason, up_to=True))
        if report.duration_ms is not None:
            self._latency.wake(kind, report.duration_ms)
        counted = COUNTED.get(report.event)
        return None if counted is None else Wake(agent, seq, at, counted)
