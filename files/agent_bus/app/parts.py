"""What stands around the bus, each given what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.a2a.desk import Desk, DeskParts
from agent_bus.a2a.routes import routes as a2a_routes
from agent_bus.api.health import Health
from agent_bus.api.hubs import Hubs
from agent_bus.api.messages import Messages
from agent_bus.api.operator import Operator
from agent_bus.api.stream import StreamParts
from agent_bus.bus.auth import Authenticator, load_digests
from agent_bus.core.limits import RateLimiter
from agent_bus.http.gate import Gate
from agent_bus.http.live import LiveStreams
from agent_bus.http.session import Sessions
from agent_bus.operate.alerting import Alerting
from agent_bus.operate.backups import Backups
from agent_bus.operate.fleet import Fleet
from agent_bus.operate.hubs.watch import HubsWatch
from agent_bus.operate.overview import Overview
from agent_bus.operate.reserves import Reserves
from agent_bus.operate.retention import Housekeeper
from agent_bus.operate.samples import Samples

if TYPE_CHECKING:
    from collections import Counter

    from agent_bus.app.assembly import Core
    from agent_bus.app.outward import Outward
    from agent_bus.bus.probes import Prober
    from agent_bus.core.clock import Clock
    from agent_bus.http.audit import Audit
    from agent_bus.http.route import Route
    from agent_bus.runtime import greenlets
    from agent_bus.settings import Settings
    from agent_bus.store.contract import Backend


def build_backups(settings: Settings, backend: Backend, clock: Clock) -> Backups:
    """What makes backups."""
    return Backups(
        settings.backups_folder, write=backend.write_backup, keep=settings.backup_keep, clock=clock
    )


def build_authenticator(settings: Settings, admins: frozenset[str], core: Core) -> Authenticator:
    """What knows whose token a call has."""
    scrapers = settings.metrics_tokens_file
    per_min = settings.auth_failures_per_min
    return Authenticator(
        admin_digests=admins,
        scraper_digests=frozenset() if scrapers is None else load_digests(scrapers),
        directory=core.directory,
        failures=RateLimiter(per_s=per_min / 60, burst=per_min, clock=core.clock),
    )


def build_sessions(core: Core, auth: Authenticator) -> Sessions:
    """Who is signed in."""
    return Sessions(records=core.records, auth=auth, clock=core.clock, cluster=core.cluster)


def build_housekeeper(settings: Settings, core: Core) -> Housekeeper:
    """What sweeps, and keeps hops and signs of life."""
    return Housekeeper(
        store=core.store,
        presence=core.presence,
        hops=core.hops,
        clock=core.clock,
        sweep_interval_s=settings.sweep_interval_s,
        retain_read_days=settings.retain_read_days,
        retain_archive_days=settings.retain_archive_days,
        leads=core.cluster.leads,
    )


def build_reserves(
    settings: Settings, core: Core, *, admin_tokens: int, watch: HubsWatch | None = None
) -> Reserves:
    """What looks at what runs out."""
    return Reserves(
        vitals=core.vitals,
        directory=core.directory,
        clock=core.clock,
        settings=settings,
        admin_tokens=admin_tokens,
        backup_elsewhere=(lambda: None) if watch is None else watch.backup_at,
    )


def build_fleet(core: Core) -> Fleet:
    """The fleet's facts."""
    return Fleet(
        vitals=core.vitals,
        counters=core.counters,
        directory=core.directory,
        presence=core.presence,
        gate=core.gate,
        clock=core.clock,
    )


def build_samples(core: Core, refusals: Counter[str], reserves: Reserves) -> Samples:
    """What takes samples of the counters."""
    return Samples(
        vitals=core.vitals,
        counters=core.counters,
        latency=core.latency,
        refusals=refusals,
        reserves=reserves,
        clock=core.clock,
    )


def build_watch(settings: Settings, core: Core, version: str) -> HubsWatch:
    """What looks after the hubs and their database."""
    return HubsWatch(
        settings=settings,
        cluster=core.cluster,
        vitals=core.vitals,
        clock=core.clock,
        version=version,
    )


def build_alerting(
    core: Core, fleet: Fleet, samples: Samples, watch: HubsWatch, *, tells: Outward
) -> Alerting:
    """What knows which alerts fire."""
    return Alerting(
        fleet=fleet,
        samples=samples,
        vitals=core.vitals,
        broker=core.broker,
        clock=core.clock,
        watch=watch,
        webhooks=tells.webhooks,
        channels=tells.channels,
        storm=core.storm,
        budgets=core.budgets,
        gate=core.gate,
        ladder=tells.ladder,
    )


def build_overview(
    core: Core,
    fleet: Fleet,
    alerting: Alerting,
    samples: Samples,
    *,
    watch: HubsWatch,
    version: str,
) -> Overview:
    """What open pages are shown of the fleet."""
    return Overview(
        fleet=fleet,
        alerting=alerting,
        samples=samples,
        counters=core.counters,
        clock=core.clock,
        version=version,
        watch=watch,
        storms=core.storm.rows,
        pauses=core.pauses.rows,
    )


def build_health(core: Core, alerting: Alerting, reserves: Reserves, version: str) -> Health:
    """Liveness, readiness and stats."""
    return Health(
        store=core.store,
        vitals=core.vitals,
        counters=core.counters,
        directory=core.directory,
        broker=core.broker,
        latency=core.latency,
        alerting=alerting,
        reserves=reserves,
        clock=core.clock,
        version=version,
        writing=core.cluster.writing,
    )


def build_hubs(
    settings: Settings, core: Core, health: Health, *, watch: HubsWatch, version: str
) -> Hubs:
    """What tells which hubs there are, and how they and their database are."""
    return Hubs(
        cluster=core.cluster,
        settings=settings,
        is_ready=health.is_ready,
        watch=watch,
        version=version,
    )


def build_messages(settings: Settings, core: Core, auth: Authenticator) -> Messages:
    """The endpoints for messages."""
    return Messages(
        bus=core.bus,
        store=core.store,
        counters=core.counters,
        directory=core.directory,
        presence=core.presence,
        storms=core.storms,
        gate=core.gate,
        auth=auth,
        pending=core.pending,
        clock=core.clock,
        page_limit=settings.page_limit,
        tellings=core.outgoing.tellings,
    )


def build_operator(
    core: Core,
    *,
    prober: Prober,
    housekeeper: Housekeeper,
    backups: Backups,
    sessions: Sessions,
) -> Operator:
    """The operator's calls."""
    return Operator(
        bus=core.bus,
        pauses=core.pauses,
        counters=core.counters,
        directory=core.directory,
        presence=core.presence,
        hops=core.hops,
        prober=prober,
        housekeeper=housekeeper,
        backups=backups,
        sessions=sessions,
    )


def build_live(settings: Settings, core: Core, hang_ups: greenlets.HangUps) -> LiveStreams:
    """What opens streams, of nodes and of browsers."""
    return LiveStreams(
        broker=core.broker,
        directory=core.directory,
        clock=core.clock,
        settings=settings,
        hang_ups=hang_ups,
    )


def stream_parts(core: Core) -> StreamParts:
    """What nodes' streams are made of."""
    return StreamParts(
        store=core.store,
        directory=core.directory,
        presence=core.presence,
        counters=core.counters,
        fanout=core.fanout,
        hops=core.hops,
        cluster=core.cluster,
    )


def build_gate(
    settings: Settings,
    auth: Authenticator,
    sessions: Sessions,
    audit: Audit,
    *,
    refusals: Counter[str],
) -> Gate:
    """What every request passes."""
    return Gate(
        auth,
        sessions,
        audit,
        body_limit_bytes=settings.body_limit_bytes,
        read_timeout_s=settings.read_timeout_s,
        refusals=refusals,
    )


def build_a2a(
    settings: Settings,
    core: Core,
    auth: Authenticator,
    audit: Audit,
    *,
    refusals: Counter[str],
    version: str,
) -> list[Route]:
    """What answers A2A."""
    having = DeskParts(
        bus=core.bus,
        store=core.store,
        broker=core.broker,
        counters=core.counters,
        directory=core.directory,
        auth=auth,
        audit=audit,
        refusals=refusals,
        clock=core.clock,
    )
    return a2a_routes(Desk(having), version=version, own_url=settings.hub_url)
