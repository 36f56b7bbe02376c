"""Which alerts fire: the rules of `core/alerts`, given the hub's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import alerts, states
from agent_bus.core.latency import quantile
from agent_bus.core.model import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.bus.broker import Broker
    from agent_bus.bus.guards.ladder import Ladder
    from agent_bus.bus.guards.storm import StormWatch
    from agent_bus.bus.guards.wake_budgets import WakeBudgets
    from agent_bus.bus.guards.wake_gate import WakeGate
    from agent_bus.channels.channels import Channels
    from agent_bus.core.clock import Clock
    from agent_bus.operate.fleet import AgentFacts, Fleet, NodeFacts
    from agent_bus.operate.hubs.watch import HubsWatch
    from agent_bus.operate.reserves import Remaining
    from agent_bus.operate.samples import Samples
    from agent_bus.store.contract import Vitals
    from agent_bus.webhooks.webhooks import Webhooks

WINDOW_S: Final = 300.0
"""Rates of alerts are over five minutes, as in the rules for Prometheus."""


class Alerting:
    """Looks at the rules, and remembers which alerts fired at the last look."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        samples: Samples,
        vitals: Vitals,
        broker: Broker,
        clock: Clock,
        watch: HubsWatch,
        webhooks: Webhooks,
        channels: Channels,
        storm: StormWatch,
        budgets: WakeBudgets,
        gate: WakeGate,
        ladder: Ladder,
    ) -> None:
        self._ladder = ladder
        self._fleet = fleet
        self._samples = samples
        self._vitals = vitals
        self._broker = broker
        self._clock = clock
        self._hubs = watch
        self._webhooks = webhooks
        self._channels = channels
        self._storm = storm
        self._budgets = budgets
        self._gate = gate
        self._watch = alerts.Watch()
        self._firing: list[dict[str, str]] = []

    @property
    def firing(self) -> list[dict[str, str]]:
        """The alerts that fire, critical ones first, as of the last look: 10 s ago at most."""
        return self._firing

    def look(self, agents: Sequence[AgentFacts], nodes: Sequence[NodeFacts]) -> None:
        """Look at every rule; given are the fleet's agents, and its nodes that have some."""
        firing = self._watch.firing(self._figures(agents, nodes), self._clock.monotonic())
        self._firing = [
            {
                "name": one.rule.name,
                "severity": one.rule.severity,
                "subject": one.subject,
                "words": one.words,
                "advice": one.rule.advice,
            }
            for one in firing
        ]

    def _figures(self, agents: Sequence[AgentFacts], nodes: Sequence[NodeFacts]) -> alerts.Figures:
        samples = self._samples
        then = samples.since(WINDOW_S)
        now_ms, steady = self._clock.now_ms(), self._clock.steady_ms()
        webhooks = self._webhooks.states()
        commits = self._vitals.histograms()["commit_s"]
        grown = [new - old for new, old in zip(commits.counts, then.disk["commit_s"], strict=True)]
        return alerts.Figures(
            silent_nodes=tuple(
                facts.node for facts in nodes if not facts.connected and not facts.guest
            ),
            deaf_gateways=tuple(
                facts.name for facts in agents if facts.status == states.GATEWAY_DOWN
            ),
            oldest_unread_s={
                name: (now_ms - at) / 1000
                for name, at in self._fleet.oldest.items()
                if name != OPERATOR
            },
            disk_full_5m=samples.refused_since(then, "disk_full"),
            refused_5m=samples.refused_since(then, "unauthenticated", "auth_throttled"),
            commit_p99_s=quantile(grown, commits.bounds, 0.99),
            wal_bytes=samples.newest.wal_bytes,
            hubs=() if (state := self._hubs.state) is None else (state.figures,),
            queue_events_max=max((stream.waiting for stream in self._broker), default=0),
            webhooks_waiting_s={
                one.name: (steady - one.oldest_at) / 1000
                for one in webhooks
                if one.oldest_at is not None
            },
            webhooks_lost_s={
                one.name: (now_ms - one.lost_at) / 1000
                for one in webhooks
                if one.lost_at is not None
            },
            escalated=self._ladder.at_top,
            channel_failures=self._channels.failures(),
            budgets_spent=self._budgets.spent_names(),
            paused_count=sum(hold.reason == states.PAUSED for hold in self._gate.held.values()),
            storms_held=self._storm.levels()["held"],
            **_running_out(samples.newest.left),
        )


def _running_out(left: Remaining) -> dict[str, Any]:
    """The figures of alerts about what runs out."""
    now, full_at = left.now, left.disk_full_at
    return {
        "certificates_s": {n: (at - now) / 1000 for n, at in left.certificates.items()},
        "disk_free_bytes": left.disk_free_bytes,
        "disk_full_s": None if full_at is None else (full_at - now) / 1000,
        "rotating_s": {node: (now - at) / 1000 for node, at in left.rotating.items()},
        "backup_age_s": left.backup_age_s,
        "archive_over_s": left.archive_age_s - left.retain_archive_ms / 1000,
    }
