"""What makes the figures for Prometheus, given what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.runtime.process import Process

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from agent_bus.app.assembly import Core
    from agent_bus.app.outward import Outward
    from agent_bus.operate.hubs.watch import HubsWatch
    from agent_bus.operate.metrics import Exporter
    from agent_bus.operate.reserves import Reserves


def build_exporter(
    core: Core,
    refusals: Counter[str],
    reserves: Reserves,
    *,
    watch: HubsWatch,
    tells: Outward,
    version: str,
) -> Callable[[], Exporter]:
    """What makes the figures for Prometheus, once they are asked for.

    Their library takes 1.3 MB, which a hub that nobody scrapes need not pay.
    """

    def build() -> Exporter:
        from agent_bus.operate import metrics, outward_metrics

        hub = metrics.HubCollector(
            vitals=core.vitals,
            counters=core.counters,
            directory=core.directory,
            presence=core.presence,
            broker=core.broker,
            latency=core.latency,
            clock=core.clock,
            refusals=refusals,
            version=version,
        )
        return metrics.Exporter(
            hub,
            metrics.HostCollector(reserves=reserves, process=Process()),
            metrics.ClusterCollector(watch=watch),
            outward_metrics.WebhookCollector(webhooks=tells.webhooks, clock=core.clock),
            outward_metrics.ChannelCollector(channels=tells.channels),
            outward_metrics.StormCollector(storm=core.storm),
            outward_metrics.WakeCollector(budgets=core.budgets, gate=core.gate),
            outward_metrics.LadderCollector(ladder=tells.ladder),
        )

    return build
