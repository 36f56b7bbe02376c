"""The watcher's main loop: owns the wake state, feeds systemd's watchdog, starts and ends threads.

This thread makes all decisions about wakes and is the only one that touches `node.Node`. The
others (stream, reports, presence, keeper, one worker per agent) wait for the outside world.
Stream, presence and workers tell this one what happened through its queue.
"""

from __future__ import annotations

import logging
import queue
import signal
import time
from types import MappingProxyType

from agent_bus_client import release, systemd
from agent_bus_client.api import GatewayKind, StreamEvent, WakeEvent
from agent_bus_client.hub import cursor
from agent_bus_client.waker.build import build
from agent_bus_client.watcher.episode import Timing
from agent_bus_client.watcher.keeper import KeeperThread
from agent_bus_client.watcher.node import Node, Report
from agent_bus_client.watcher.presence import GatewayReturned, PresenceThread, TurnsReturned
from agent_bus_client.watcher.reports import ReportThread
from agent_bus_client.watcher.stream import Disconnected, Received, StreamThread
from agent_bus_client.watcher.workers import Probed, Woken, Worker, probe_reason

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType
    from typing import Optional

    from agent_bus_client.hub.hubs import Hubs
    from agent_bus_client.settings import Settings
    from agent_bus_client.waker.gateway import Gateway

logger = logging.getLogger(__name__)

BURST = 200  # events taken before the loop looks again at what is due
IDLE_S = 5.0  # longest sleep, so that the status line stays fresh and a dead thread is noticed


class Stop:
    """SIGTERM or SIGINT came."""


class Watcher:
    """The whole program, once its settings have been read.

    Args:
        own: the hubs as agents with tokens of their own see them.
    """

    def __init__(
        self,
        settings: Settings,
        hubs: Hubs,
        gateway: Gateway,
        *,
        own: Mapping[str, Hubs] = MappingProxyType({}),
    ) -> None:
        self._settings = settings
        self._inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._node = Node(
            settings.agent_names,
            Timing(
                min_interval_s=settings.wake_min_interval_s,
                escalate_after_s=settings.escalate_after_s,
                rewake_after_s=settings.rewake_after_s,
                rewake_max_s=settings.rewake_max_s,
                reminder_after_s=settings.reminder_after_s,
            ),
            stagger_s=settings.stagger_s,
            apart=[agent.name for agent in settings.agents if not agent.uses_gateway],
        )
        self._hubs = hubs
        place = cursor.load(f"{settings.state_dir}/cursor.json", settings.agent_names)
        self._stream = StreamThread(hubs, place, self._inbox.put)
        self._reports = ReportThread(hubs)
        wakers = {agent.name: build(agent, settings, gateway) for agent in settings.agents}
        turns = {agent.name: wakers[agent.name] for agent in settings.agents if agent.turns}
        self._presence = PresenceThread(hubs, settings, gateway, self._inbox.put, turns=turns)
        self._keeper = KeeperThread(
            hubs.apart(), settings, own={name: seen.apart() for name, seen in own.items()}
        )
        self._workers = {
            name: Worker(name, waker, self._inbox.put, own=own.get(name))
            for name, waker in wakers.items()
        }
        self._hub_state = "connecting"
        self._renewing = False
        self._last_event: Optional[float] = None
        self._last_wake: Optional[tuple[float, str]] = None

    def run(self) -> int:
        """Run until SIGTERM and return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        logger.info(
            "watcher started",
            extra={
                "release": release.current(),
                "hubs": [client.url for client in self._hubs.clients],
                "agents": list(self._settings.agent_names),
            },
        )
        systemd.notify("READY=1", "STATUS=starting")
        threads = [self._stream, self._reports, self._presence, self._keeper]
        for thread in (*threads, *self._workers.values()):
            thread.start()
        failed = self._loop()
        systemd.notify("STOPPING=1")
        self._stream.stop()
        self._presence.stop()
        for worker in self._workers.values():
            worker.stop()
        self._keeper.stop()
        self._reports.stop()
        logger.info("watcher stopped")
        return 1 if failed else 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._inbox.put(Stop())  # SimpleQueue.put is safe within a signal handler

    def _loop(self) -> bool:
        """Decide until `Stop`; return True if a thread has died, which must not happen."""
        watchdog_s = systemd.watchdog_interval_s() or IDLE_S
        fed_at = 0.0
        while True:
            now = time.monotonic()
            if now - fed_at >= min(watchdog_s, IDLE_S) / 2:
                fed_at = now
                systemd.notify("WATCHDOG=1", f"STATUS={self._status(now)}")
                dead = [thread.name for thread in self._threads() if not thread.is_alive()]
                if dead:
                    logger.critical("threads died, ending for a restart", extra={"threads": dead})
                    return True
            next_at = self._node.next_at()
            timeout_s = min(watchdog_s, IDLE_S) / 2
            if next_at is not None:
                timeout_s = min(timeout_s, max(0.0, next_at - now))
            try:
                item: Optional[object] = self._inbox.get(timeout=timeout_s)
            except queue.Empty:
                item = None
            taken = 0
            while item is not None:
                if isinstance(item, Stop):
                    return False
                self._take(item)
                taken += 1
                item = None if taken == BURST or self._inbox.empty() else self._inbox.get()
            for name, attempt in self._node.due(time.monotonic()):
                self._workers[name].start_attempt(attempt)
            self._report(self._node.take_reports())
            self._tell_kind(self._node.gateway.kind)

    def _take(self, item: object) -> None:
        if isinstance(item, Received):
            self._event(item)
        elif isinstance(item, Woken):
            self._woken(item)
        elif isinstance(item, Disconnected):
            self._hub_state = f"not connected ({item.reason})"
            self._renewing = item.is_renewal  # until the next failure or `hello`
        elif isinstance(item, GatewayReturned):
            self._node.gateway_returned(time.monotonic())
        elif isinstance(item, TurnsReturned):
            self._node.wake_again(time.monotonic(), [item.agent])
        elif isinstance(item, Probed):
            self._report_probe(
                item.agent,
                item.probe_id,
                probe_reason(item.outcome),
                duration_ms=item.outcome.duration_ms,
            )

    def _event(self, event: Received) -> None:
        self._last_event = event.at
        if event.type == StreamEvent.MESSAGE:
            self._node.message(event.at, event.facts)
            if event.cursor:
                names = self._settings.agent_names
                self._keeper.keep(cursor.Cursor(*event.cursor, names))
        elif event.type == StreamEvent.MAILBOX:
            self._node.mailbox(event.at, event.facts)
            self._presence.take_in(event.facts["agent"])  # it may have come back
        elif event.type == StreamEvent.HELLO:
            self._hello(event)
        elif event.type == StreamEvent.WAKE:
            self._node.wake_again(event.at, event.facts["agents"])
        elif event.type == StreamEvent.PROBE:
            for name in event.facts["agents"]:
                if name in self._workers:
                    self._workers[name].probe(event.facts["probe_id"])
                else:
                    reason = "the node has no settings for this agent: run the site playbook"
                    self._report_probe(name, event.facts["probe_id"], reason)
        elif event.type == StreamEvent.RESET:
            logger.warning("hub reset the stream", extra={"reason": event.facts.get("reason")})

    def _hello(self, event: Received) -> None:
        self._node.hello(event.at, event.facts, renewed=self._renewing)
        self._renewing = False
        hub = self._hubs.current
        several = len(self._hubs.clients) > 1
        self._hub_state = f"connected to {hub.url}" if several else "connected"
        missing = self._node.unconfigured
        extra = {
            "hub": hub.url,
            "address": hub.way,
            "hub_version": event.facts.get("version"),
        }
        logger.info("connected to the hub", extra=extra)
        if missing:
            logger.error(
                "hub has agents for this node without settings here: run the site playbook",
                extra={"agents": missing},
            )
        self._presence.unconfigured = missing
        self._presence.leave_out(self._node.elsewhere, are_all=True)
        self._presence.poke()
        self._keeper.connected(hub)
        self._reports.connected()

    def _woken(self, woken: Woken) -> None:
        now = time.monotonic()
        self._node.finished(now, woken.agent, woken.outcome)
        if woken.outcome is None:
            return
        if woken.outcome.is_accepted:
            self._last_wake = (now, woken.agent)
        else:
            self._presence.doubt(woken.agent)

    def _tell_kind(self, kind: GatewayKind) -> None:
        """Tell the log and the hub, once, which kind of gateway the wakes have shown."""
        if kind == self._presence.gateway_kind:
            return
        self._presence.gateway_kind = kind
        self._presence.poke()
        gateway = {"gateway": self._settings.gateway_url}
        if kind == GatewayKind.FOLLOW_UP:
            logger.info("gateway starts turns beside others; waking closer", extra=gateway)
        elif kind == GatewayKind.HEARTBEAT:
            logger.info("gateway puts turns off; waking at the usual pace", extra=gateway)

    def _report(self, reports: list[Report]) -> None:
        for report in reports:
            if report.event == WakeEvent.FAILED:
                level = logging.ERROR if report.loud else logging.WARNING
                extra = {"agent": report.agent, "reason": report.reason}
                logger.log(level, "wake failed%s", report.loud and f": {report.loud}", extra=extra)
            elif report.event in {WakeEvent.OVERDUE, WakeEvent.ESCALATED}:
                logger.warning("wake %s", report.event, extra={"agent": report.agent})
        if reports:
            self._reports.add(reports)

    def _report_probe(
        self, agent: str, probe_id: str, reason: str | None, *, duration_ms: int | None = None
    ) -> None:
        now = time.monotonic()
        report = Report(
            agent, WakeEvent.PROBED, now, reason=reason, probe_id=probe_id, duration_ms=duration_ms
        )
        self._report([report])

    def _threads(
        self,
    ) -> list[StreamThread | ReportThread | PresenceThread | KeeperThread | Worker]:
        return [self._stream, self._reports, self._presence, self._keeper, *self._workers.values()]

    def _status(self, now: float) -> str:
        event = "none" if self._last_event is None else f"{now - self._last_event:.0f} s ago"
        wake = "none"
        if self._last_wake:
            wake = f"{self._last_wake[1]} {now - self._last_wake[0]:.0f} s ago"
        agents = ",".join(self._settings.agent_names)
        return (
            f"hub {self._hub_state}; agents {agents}; unfetched {self._node.unfetched()}; "
            f"last event {event}; last wake {wake}"
        )
