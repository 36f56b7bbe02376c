"""What watchers are asked, and what they report, given what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.api.reports import Reports
from agent_bus.bus.probes import Prober

if TYPE_CHECKING:
    from agent_bus.app.assembly import Core
    from agent_bus.bus.auth import Authenticator


def build_prober(core: Core) -> Prober:
    """What probes watchers."""
    return Prober(
        broker=core.broker,
        directory=core.directory,
        clock=core.clock,
        is_elsewhere=core.presence.is_elsewhere,
        cluster=core.cluster,
    )


def build_reports(core: Core, auth: Authenticator, prober: Prober) -> Reports:
    """The endpoints for what watchers report."""
    return Reports(
        counters=core.counters,
        auth=auth,
        presence=core.presence,
        hops=core.hops,
        latency=core.latency,
        prober=prober,
        budgets=core.budgets,
        clock=core.clock,
    )
