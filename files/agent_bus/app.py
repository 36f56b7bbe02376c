"""Builds the hub: settings to object graph to WSGI application. Nothing else builds objects."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent_bus import __version__
from agent_bus.api import openapi
from agent_bus.api.agents import Agents
from agent_bus.api.health import Health, metrics_endpoint
from agent_bus.api.messages import Messages
from agent_bus.api.operator import Operator
from agent_bus.api.reports import Reports
from agent_bus.api.routes import routes
from agent_bus.api.stream import StreamParts, Streams
from agent_bus.bus.auth import Authenticator, load_digests
from agent_bus.bus.broker import Broker
from agent_bus.bus.bus import Bus
from agent_bus.bus.counters import Counters
from agent_bus.bus.directory import Directory
from agent_bus.bus.fanout import Fanout
from agent_bus.bus.hops import Hops
from agent_bus.bus.presence import Presence
from agent_bus.bus.probes import Prober
from agent_bus.core import states
from agent_bus.core.clock import SystemClock
from agent_bus.core.latency import Latency
from agent_bus.core.limits import RateLimiter
from agent_bus.dashboard.actions import Actions
from agent_bus.dashboard.html import Pages
from agent_bus.dashboard.measures import Measures
from agent_bus.dashboard.page_stream import PageStreams
from agent_bus.dashboard.sign_in import SignIn
from agent_bus.dashboard.views import Dashboard
from agent_bus.http.application import application
from agent_bus.http.audit import Audit
from agent_bus.http.gate import Gate
from agent_bus.http.live import LiveStreams
from agent_bus.http.session import Sessions
from agent_bus.operate.backups import Backups
from agent_bus.operate.board import Board
from agent_bus.operate.fleet import Fleet
from agent_bus.operate.metrics import Exporter, HostCollector, HubCollector
from agent_bus.operate.reserves import Reserves
from agent_bus.operate.retention import Housekeeper
from agent_bus.runtime import greenlets, instance
from agent_bus.runtime.process import Process
from agent_bus.store.sqlite.sqlite_store import SqliteStore

if TYPE_CHECKING:
    from agent_bus.bus.fanout import Observer
    from agent_bus.core.clock import Clock
    from agent_bus.settings import Settings
    from agent_bus.store.contract import Backend, Records, Store, Vitals


@dataclass(frozen=True, slots=True)
class Core:
    """The bus and its parts, over a store; who reads one of them gets that one."""

    store: Store
    vitals: Vitals
    records: Records
    clock: Clock
    broker: Broker
    directory: Directory
    presence: Presence
    counters: Counters
    latency: Latency
    observers: list[Observer]
    fanout: Fanout
    hops: Hops
    bus: Bus


class Hub:
    """The running hub: the WSGI application and what must be ended with it."""

    def __init__(self, settings: Settings) -> None:
        clock = SystemClock()
        version = release()
        self._lock = instance.lock(settings.database)
        admins = load_digests(settings.admin_tokens_file)
        self._backend = _backend(settings, clock)
        self._core = core = assemble(settings, self._backend, clock)
        auth = _authenticator(settings, admins, core)
        refusals: Counter[str] = Counter()
        reserves = build_reserves(settings, core, admin_tokens=len(admins))
        housekeeper = build_housekeeper(settings, core)
        fleet = build_fleet(core)
        board = build_board(core, fleet, refusals=refusals, reserves=reserves, version=version)
        core.observers.extend((housekeeper, fleet, board))
        for one in (housekeeper, fleet, board):
            one.start()
        sessions = Sessions(records=core.records, auth=auth, clock=clock)
        audit = Audit(records=core.records, clock=clock)
        live = build_live(settings, core, greenlets.HangUps())
        self.health = build_health(core, board, reserves, version)
        prober = Prober(broker=core.broker, directory=core.directory, clock=clock)
        messages = build_messages(settings, core, auth)
        operator = Operator(
            bus=core.bus,
            counters=core.counters,
            directory=core.directory,
            presence=core.presence,
            hops=core.hops,
            prober=prober,
            housekeeper=housekeeper,
            backups=_backups(settings, self._backend, clock),
            sessions=sessions,
        )
        api = routes(
            messages=messages,
            agents=Agents(bus=core.bus, directory=core.directory, fleet=fleet),
            reports=build_reports(core, prober),
            operator=operator,
            streams=Streams(parts=stream_parts(core), live=live, version=version),
            health=self.health,
            document=openapi.endpoint(),
            metrics=metrics_endpoint(build_exporter(core, refusals, reserves, version)),
        )
        pages = Pages()
        sign_in = SignIn(sessions=sessions, pages=pages, audit=audit, refusals=refusals)
        page_streams = PageStreams(board=board, sessions=sessions, live=live)
        actions = Actions(core.store, core.directory, messages=messages, operator=operator)
        dashboard = build_dashboard(core, board, pages, page_streams)
        table = [*api, *sign_in.routes(), *dashboard.routes(), *actions.routes()]
        gate = Gate(
            auth,
            sessions,
            audit,
            body_limit_bytes=settings.body_limit_bytes,
            read_timeout_s=settings.read_timeout_s,
            refusals=refusals,
        )
        self.wsgi = application(table, gate=gate, refusals=refusals)

    def drain(self) -> None:
        """Say bye on all streams and cut those that do not take it within 1.5 s."""
        self.health.is_stopping = True
        self._core.broker.end_all(states.SHUTDOWN)
        for _ in range(15):
            if not len(self._core.broker):
                return
            greenlets.sleep(0.1)
        for stream in self._core.broker:
            stream.cut()

    def close(self) -> None:
        """Commit what waits and close the database; the last thing in the process."""
        self._core.hops.flush()
        self._backend.close()


def assemble(settings: Settings, backend: Backend, clock: Clock) -> Core:
    """The bus over an open store, with what the store holds; the store tells it of commits."""
    store: Store = backend
    broker = Broker(
        streams_total=settings.streams_total, streams_per_token=settings.streams_per_token
    )
    directory = Directory()
    directory.replace(*store.roster())
    presence = Presence(
        directory=directory,
        clock=clock,
        lease_s=settings.lease_s,
        offline_after_s=settings.offline_after_s,
    )
    counters = Counters(head=store.head(), mailboxes=store.mailboxes())
    latency = Latency()
    observers: list[Observer] = []
    fanout = Fanout(
        epoch=store.epoch,
        broker=broker,
        directory=directory,
        presence=presence,
        counters=counters,
        latency=latency,
        observers=observers,
        clock=clock,
    )
    store.listen(fanout)
    hops = Hops(store=store, counters=counters, latency=latency, observers=observers, clock=clock)
    bus = Bus(
        store=store,
        fanout=fanout,
        broker=broker,
        directory=directory,
        presence=presence,
        counters=counters,
        latency=latency,
        limiter=RateLimiter(per_s=settings.sends_per_s, burst=settings.send_burst, clock=clock),
        clock=clock,
        depth_limit=settings.hop_limit,
    )
    return Core(
        store, backend, backend.records, clock, broker, directory, presence, counters, latency,
        observers, fanout, hops, bus,
    )  # fmt: skip


def _backend(settings: Settings, clock: Clock) -> SqliteStore:
    return SqliteStore(
        settings.database,
        clock=clock,
        readers=settings.readers,
        fatal=lambda: os._exit(70),  # EX_SOFTWARE: systemd and gunicorn start a new worker
    )


def _backups(settings: Settings, backend: Backend, clock: Clock) -> Backups:
    return Backups(
        settings.backups_folder, write=backend.write_backup, keep=settings.backup_keep, clock=clock
    )


def _authenticator(settings: Settings, admins: frozenset[str], core: Core) -> Authenticator:
    scrapers = settings.metrics_tokens_file
    per_min = settings.auth_failures_per_min
    return Authenticator(
        admin_digests=admins,
        scraper_digests=frozenset() if scrapers is None else load_digests(scrapers),
        directory=core.directory,
        failures=RateLimiter(per_s=per_min / 60, burst=per_min, clock=core.clock),
    )


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
    )


def build_reserves(settings: Settings, core: Core, *, admin_tokens: int) -> Reserves:
    """What looks at what runs out."""
    return Reserves(
        vitals=core.vitals,
        directory=core.directory,
        clock=core.clock,
        settings=settings,
        admin_tokens=admin_tokens,
    )


def build_fleet(core: Core) -> Fleet:
    """The fleet's facts."""
    return Fleet(
        vitals=core.vitals,
        counters=core.counters,
        directory=core.directory,
        presence=core.presence,
        clock=core.clock,
    )


def build_board(
    core: Core, fleet: Fleet, *, refusals: Counter[str], reserves: Reserves, version: str
) -> Board:
    """What the operator is shown of the fleet."""
    return Board(
        vitals=core.vitals,
        counters=core.counters,
        directory=core.directory,
        presence=core.presence,
        broker=core.broker,
        latency=core.latency,
        clock=core.clock,
        fleet=fleet,
        refusals=refusals,
        reserves=reserves,
        version=version,
    )


def build_health(core: Core, board: Board, reserves: Reserves, version: str) -> Health:
    """Liveness, readiness and stats."""
    return Health(
        store=core.store,
        vitals=core.vitals,
        counters=core.counters,
        directory=core.directory,
        broker=core.broker,
        latency=core.latency,
        board=board,
        reserves=reserves,
        clock=core.clock,
        version=version,
    )


def build_exporter(
    core: Core, refusals: Counter[str], reserves: Reserves, version: str
) -> Exporter:
    """The figures for Prometheus."""
    hub = HubCollector(
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
    return Exporter(hub=hub, host=HostCollector(reserves=reserves, process=Process()))


def build_messages(settings: Settings, core: Core, auth: Authenticator) -> Messages:
    """The endpoints for messages."""
    return Messages(
        bus=core.bus,
        store=core.store,
        counters=core.counters,
        directory=core.directory,
        presence=core.presence,
        auth=auth,
        page_limit=settings.page_limit,
    )


def build_reports(core: Core, prober: Prober) -> Reports:
    """The endpoints for what watchers report."""
    return Reports(
        counters=core.counters,
        directory=core.directory,
        presence=core.presence,
        hops=core.hops,
        latency=core.latency,
        prober=prober,
        clock=core.clock,
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
    )


def build_dashboard(
    core: Core, board: Board, pages: Pages, page_streams: PageStreams
) -> Dashboard:
    """The operator's web page."""
    return Dashboard(
        store=core.store,
        records=core.records,
        directory=core.directory,
        presence=core.presence,
        clock=core.clock,
        measures=build_measures(core),
        board=board,
        pages=pages,
        page_streams=page_streams,
    )


def build_measures(core: Core) -> Measures:
    """The figures of the latency page."""
    return Measures(
        vitals=core.vitals,
        records=core.records,
        counters=core.counters,
        directory=core.directory,
        latency=core.latency,
    )


def release() -> str:
    """The release that runs, `<version>-<content hash>`; the bare version outside a release."""
    marker = Path(__file__).resolve().parent.parent / "RELEASE"
    return marker.read_text(encoding="utf-8").strip() if marker.exists() else __version__
