"""Builds the hub: settings to object graph to WSGI application. Nothing else builds objects."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from agent_bus import __version__
from agent_bus.api import openapi
from agent_bus.api.health import Health, metrics_endpoint
from agent_bus.api.messages import Api
from agent_bus.api.operator import Operator
from agent_bus.api.routes import routes
from agent_bus.api.stream import Streams
from agent_bus.bus.auth import Authenticator, load_digests
from agent_bus.bus.broker import Broker
from agent_bus.bus.bus import Bus
from agent_bus.bus.directory import Directory
from agent_bus.bus.presence import Presence
from agent_bus.bus.probes import Prober
from agent_bus.core.clock import SystemClock
from agent_bus.core.latency import Latency
from agent_bus.core.limits import RateLimiter
from agent_bus.dashboard.actions import Actions
from agent_bus.dashboard.audit import Audit
from agent_bus.dashboard.html import Pages
from agent_bus.dashboard.views import Dashboard
from agent_bus.http.application import application
from agent_bus.http.gate import Gate
from agent_bus.http.session import Sessions
from agent_bus.operate.backups import Backups
from agent_bus.operate.board import Board
from agent_bus.operate.fleet import Fleet
from agent_bus.operate.metrics import Exporter
from agent_bus.operate.reserves import Reserves
from agent_bus.operate.retention import Housekeeper
from agent_bus.runtime import greenlets, instance
from agent_bus.runtime.process import Process
from agent_bus.store.sqlite.sqlite_store import SqliteStore

if TYPE_CHECKING:
    from agent_bus.core.clock import Clock
    from agent_bus.settings import Settings


class Hub:
    """The running hub: the WSGI application and what must be ended with it."""

    def __init__(self, settings: Settings) -> None:
        clock = SystemClock()
        version = release()
        self._lock = instance.lock(settings.database)
        directory = Directory()
        self.broker = Broker(
            streams_total=settings.streams_total, streams_per_token=settings.streams_per_token
        )
        self.bus = _bus(settings, self.broker, directory, clock)
        auth = _authenticator(settings, directory, clock)
        self.store = _store(settings, self.bus, clock)
        self.bus.attach(self.store)
        housekeeper = _housekeeper(settings, self.bus)
        housekeeper.start()
        refusals: Counter[str] = Counter()
        reserves = _reserves(settings, self.bus)
        fleet, board = _board(self.bus, refusals, reserves, version)
        prober = Prober(broker=self.broker, directory=directory, clock=clock)
        api = Api(
            bus=self.bus, fleet=fleet, auth=auth, prober=prober, page_limit=settings.page_limit
        )
        hang_ups = greenlets.HangUps()
        streams = Streams(bus=self.bus, settings=settings, version=version, hang_ups=hang_ups)
        self.health = Health(
            bus=self.bus, board=board, reserves=reserves, clock=clock, version=version
        )
        exporter = Exporter(
            bus=self.bus, refusals=refusals, reserves=reserves, process=Process(), version=version
        )
        sessions = Sessions(store=self.store, auth=auth, clock=clock)
        operator = Operator(
            bus=self.bus,
            housekeeper=housekeeper,
            backups=Backups(settings.database, keep=settings.backup_keep, clock=clock),
            sessions=sessions,
        )
        dashboard = Dashboard(
            bus=self.bus,
            board=board,
            sessions=sessions,
            pages=Pages(),
            settings=settings,
            refusals=refusals,
            hang_ups=hang_ups,
        )
        audit = Audit(bus=self.bus)
        paths = routes(
            api=api,
            operator=operator,
            streams=streams,
            health=self.health,
            document=openapi.endpoint(),
            metrics=metrics_endpoint(exporter),
        )
        actions = Actions(bus=self.bus, api=api, operator=operator, sessions=sessions, audit=audit)
        table = audit.over(paths) + dashboard.routes(actions)
        self.wsgi = application(table, gate=_gate(settings, auth, refusals), refusals=refusals)

    def drain(self) -> None:
        """Say bye on all streams and cut those that do not take it within 1.5 s."""
        self.health.is_stopping = True
        self.broker.end_all("shutdown")
        for _ in range(15):
            if not len(self.broker):
                return
            greenlets.sleep(0.1)
        for stream in self.broker:
            stream.cut()

    def close(self) -> None:
        """Commit what waits and close the database; the last thing in the process."""
        self.bus.flush_stamps()
        self.store.close()


def _bus(settings: Settings, broker: Broker, directory: Directory, clock: Clock) -> Bus:
    return Bus(
        clock=clock,
        broker=broker,
        directory=directory,
        presence=Presence(
            clock=clock, lease_s=settings.lease_s, offline_after_s=settings.offline_after_s
        ),
        limiter=RateLimiter(per_s=settings.sends_per_s, burst=settings.send_burst, clock=clock),
        latency=Latency(),
        hop_limit=settings.hop_limit,
    )


def _housekeeper(settings: Settings, bus: Bus) -> Housekeeper:
    return Housekeeper(
        bus,
        sweep_interval_s=settings.sweep_interval_s,
        retain_read_days=settings.retain_read_days,
        retain_archive_days=settings.retain_archive_days,
    )


def _reserves(settings: Settings, bus: Bus) -> Reserves:
    admin_tokens = len(load_digests(settings.admin_tokens_file))
    return Reserves(bus=bus, settings=settings, admin_tokens=admin_tokens)


def _board(
    bus: Bus, refusals: Counter[str], reserves: Reserves, version: str
) -> tuple[Fleet, Board]:
    """What watches the bus for the operator; the fleet first, which the board looks at."""
    fleet = Fleet(bus)
    fleet.start()
    board = Board(bus=bus, fleet=fleet, refusals=refusals, reserves=reserves, version=version)
    board.start()
    bus.observers += [fleet, board]
    return fleet, board


def _store(settings: Settings, bus: Bus, clock: Clock) -> SqliteStore:
    return SqliteStore(
        settings.database,
        clock=clock,
        readers=settings.readers,
        listener=bus,
        fatal=lambda: os._exit(70),  # EX_SOFTWARE: systemd and gunicorn start a new worker
    )


def _authenticator(settings: Settings, directory: Directory, clock: Clock) -> Authenticator:
    scrapers = settings.metrics_tokens_file
    per_min = settings.auth_failures_per_min
    return Authenticator(
        admin_digests=load_digests(settings.admin_tokens_file),
        scraper_digests=frozenset() if scrapers is None else load_digests(scrapers),
        directory=directory,
        failures=RateLimiter(per_s=per_min / 60, burst=per_min, clock=clock),
    )


def _gate(settings: Settings, auth: Authenticator, refusals: Counter[str]) -> Gate:
    return Gate(
        auth,
        body_limit_bytes=settings.body_limit_bytes,
        read_timeout_s=settings.read_timeout_s,
        refusals=refusals,
    )


def release() -> str:
    """The release that runs, `<version>-<content hash>`; the bare version outside a release."""
    marker = Path(__file__).resolve().parent.parent / "RELEASE"
    return marker.read_text(encoding="utf-8").strip() if marker.exists() else __version__
