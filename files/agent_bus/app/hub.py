"""The running hub: everything that one process serves, and how it ends."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from agent_bus import __version__
from agent_bus.api import openapi
from agent_bus.api.health import metrics_endpoint
from agent_bus.api.routes import routes
from agent_bus.api.stream import Streams
from agent_bus.app import backend, figures, guards, outward, parts, people, watchers
from agent_bus.app.assembly import assemble
from agent_bus.app.hearing import Hearing
from agent_bus.bus.auth import load_digests
from agent_bus.core import states
from agent_bus.core.clock import SystemClock
from agent_bus.dashboard.page_stream import PageStreams
from agent_bus.http.application import application
from agent_bus.http.audit import Audit
from agent_bus.mcp.endpoint import Mcp
from agent_bus.mcp.inner import Inner
from agent_bus.runtime import greenlets, instance

if TYPE_CHECKING:
    from agent_bus.settings import Settings


class Hub:
    """The running hub: the WSGI application and what must be ended with it."""

    def __init__(self, settings: Settings) -> None:
        clock = SystemClock()
        version = release()
        self._lock = instance.lock(settings.folder)
        admins = load_digests(settings.admin_tokens_file)
        self._backend = backend.build_backend(settings, clock, version)
        self._core = core = assemble(settings, self._backend, clock)
        auth = parts.build_authenticator(settings, admins, core)
        refusals: Counter[str] = Counter()
        watch = parts.build_watch(settings, core, version)
        reserves = parts.build_reserves(settings, core, admin_tokens=len(admins), watch=watch)
        housekeeper = parts.build_housekeeper(settings, core)
        fleet = parts.build_fleet(core)
        samples = parts.build_samples(core, refusals, reserves)
        self._tells = tells = outward.build_outward(settings, core)
        alerts = parts.build_alerting(core, fleet, samples, watch, tells=tells)
        overview = parts.build_overview(core, fleet, alerts, samples, watch=watch, version=version)
        core.observers.extend((housekeeper, fleet, overview, *tells.webhooks.observers))
        for one in (housekeeper, fleet, overview, core.questions, core.budgets, core.storm):
            one.start()
        sessions = parts.build_sessions(core, auth)
        audit = Audit(records=core.records, clock=clock)
        self._live = live = parts.build_live(settings, core, greenlets.HangUps())
        self.health = parts.build_health(core, alerts, reserves, version)
        prober = watchers.build_prober(core)
        messages = parts.build_messages(settings, core, auth)
        backups = parts.build_backups(settings, self._backend, clock)
        operator = parts.build_operator(
            core, prober=prober, housekeeper=housekeeper, backups=backups, sessions=sessions
        )
        exporter = figures.build_exporter(
            core, refusals, reserves, watch=watch, tells=tells, version=version
        )
        api = routes(
            messages=messages,
            agents=guards.build_agents(core, auth, fleet),
            reports=watchers.build_reports(core, auth, prober),
            operator=operator,
            streams=Streams(parts=parts.stream_parts(core), auth=auth, live=live, version=version),
            health=self.health,
            hubs=parts.build_hubs(settings, core, self.health, watch=watch, version=version),
            document=openapi.endpoint(),
            metrics=metrics_endpoint(exporter),
        )
        door = people.Door(sessions, auth, audit, refusals)
        shown = PageStreams(overview=overview, sessions=sessions, live=live)
        looks = people.Looks(overview, samples, shown, tells.channels)
        actions = guards.build_actions(core, messages=messages, operator=operator)
        a2a = parts.build_a2a(settings, core, auth, audit, refusals=refusals, version=version)
        mcp = Mcp(Inner(api, audit), auth=auth, clock=clock, refusals=refusals, version=version)
        api += guards.guard_routes(core)
        api += outward.outward_routes(core, tells)
        table = [*api, *a2a, *mcp.routes(), *people.routes(core, door, looks, actions)]
        gate = parts.build_gate(settings, auth, sessions, audit, refusals=refusals)
        self.wsgi = application(table, gate=gate, refusals=refusals)
        hearing = Hearing(core, fleet=fleet, prober=prober, sessions=sessions, watch=watch)
        core.cluster.hear(hearing)
        watch.start()
        tells.start()

    def drain(self) -> None:
        """Say bye on all streams and cut those that do not take it within 1.5 s.

        Harmless when repeated, and while it is under way: both come back when it is done.
        """
        self.health.is_stopping = True
        self._tells.channels.close()
        self._core.broker.end_all(states.SHUTDOWN)
        for _ in range(15):
            if not self._live.served:
                return
            greenlets.sleep(0.1)
        self._live.cut()

    def close(self) -> None:
        """Commit what waits and close the database; the last thing in the process."""
        self._core.hops.flush()
        self._core.budgets.flush()
        self._core.cluster.end()
        self._backend.close()


def release() -> str:
    """The release that runs, `<version>-<content hash>`; the bare version outside a release."""
    marker = Path(__file__).resolve().parents[2] / "RELEASE"
    return marker.read_text(encoding="utf-8").strip() if marker.exists() else __version__
