"""The operator's board: what the fleet looks like now, and who is shown it live.

One greenlet looks at the bus when something happened, at most five times a second, and at least
once a second because leases lapse by themselves. It sends what changed to all open pages. Nothing
here blocks or reads the database but that greenlet; with no page open it only takes samples and
looks at the alerts, every 10 s.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_bus.bus.broker import Entry, Stream
from agent_bus.core import alerts, sse, states
from agent_bus.core.latency import quantile
from agent_bus.core.model import OPERATOR, PRIORITIES, rfc3339
from agent_bus.operate import fleet_rows, reserves
from agent_bus.runtime import greenlets
from agent_bus.runtime.greenlets import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_bus.bus.broker import Broker
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.presence import Presence
    from agent_bus.core.clock import Clock
    from agent_bus.core.latency import Latency
    from agent_bus.core.model import Acked, AgentName, Sent, Stamp
    from agent_bus.core.states import HopName
    from agent_bus.operate.fleet import AgentFacts, Fleet, NodeFacts
    from agent_bus.operate.reserves import Reserves
    from agent_bus.store.contract import Vitals

logger = logging.getLogger(__name__)

TICK_S: Final = 1.0
"""Leases and mutes end without an event: so late a page may show it."""
PAUSE_S: Final = 0.2
"""Between two looks at a busy bus: faster than anybody reads, and cheap."""
SAMPLE_S: Final = 10.0
SAMPLES: Final = 360
"""An hour of samples, 1 KB each."""
FEED: Final = 200
"""Messages that a page can be told at once; past it the older ones are left out."""
WINDOW_S: Final = 300.0
"""Rates of alerts are over five minutes, as in the rules for Prometheus."""
OPENING: Final = 80
"""Characters of a text that stand for it where it has no subject."""


class Sample(NamedTuple):
    """Counters at one moment: monotonic time, wall time, totals, histograms, refusals."""

    at: float
    wall: int
    sent: int
    pushed: int
    acked: int
    hops: dict[HopName, list[int]]
    disk: dict[str, list[int]]
    refusals: dict[str, int]
    wal_bytes: int


class Board:
    """See the module.

    Args:
        refusals: problems answered so far, by code.
        reserves: what runs out.
        version: the running release, with which a page can tell that it is out of date.
    """

    def __init__(
        self,
        *,
        vitals: Vitals,
        counters: Counters,
        directory: Directory,
        presence: Presence,
        broker: Broker,
        latency: Latency,
        clock: Clock,
        fleet: Fleet,
        refusals: Mapping[str, int],
        reserves: Reserves,
        version: str,
    ) -> None:
        self.samples: deque[Sample] = deque(maxlen=SAMPLES)
        self._vitals = vitals
        self._counters = counters
        self._directory = directory
        self._presence = presence
        self._broker = broker
        self._latency = latency
        self._clock = clock
        self._fleet = fleet
        self._refusals = refusals
        self._reserves = reserves
        self._left = reserves.look()
        self._version = version
        self._pages: set[Stream] = set()
        self._event = Event()
        self._feed: deque[dict[str, Any]] = deque(maxlen=FEED)
        self._read: deque[dict[str, Any]] = deque(maxlen=FEED)
        self._shown: dict[AgentName, dict[str, Any]] = {}
        self._told: tuple[dict[AgentName, dict[str, Any]], object] = ({}, None)
        self._watch = alerts.Watch()
        self._alerts: list[dict[str, str]] = []
        self._nodes: list[dict[str, Any]] = []

    def start(self) -> None:
        """Begin; bus and fleet must have begun."""
        self._sample()
        greenlets.spawn(self._run)

    def on_sent(self, sent: Sent) -> None:
        """A message is durable."""
        if self._pages:
            self._feed.append(brief(sent))
        self._event.set()

    def on_acked(self, acked: Acked) -> None:
        """Deliveries were read."""
        if self._pages:
            self._read.extend({"id": d.message.id, "agent": d.agent} for d in acked.receipts)
        self._event.set()

    def on_report(self, _stamp: Stamp) -> None:
        """A watcher reported what became of a wake."""
        self._event.set()

    def join(self, page: Stream) -> bytes:
        """Take an open page in; answers its first event, the whole fleet."""
        if not self._pages:
            self._look()
            self._told = (self._shown, (self._alerts, self._nodes))
        self._pages.add(page)
        return self._event_of(list(self._shown.values()), [], full=True)

    def leave(self, page: Stream) -> None:
        """Let a page go; harmless when repeated."""
        self._pages.discard(page)

    def fleet(self) -> dict[str, Any]:
        """All agents, problems first, with alerts and totals, for the first paint."""
        self._fleet.refresh(anyway=True)
        self._look()
        ordered = sorted(
            self._shown.values(),
            key=lambda row: (-row["problem"], row["node"] or "", row["name"]),
        )
        return {
            "agents": ordered,
            "nodes": self._nodes,
            "alerts": self._alerts,
            "totals": self.totals(),
        }

    def totals(self) -> dict[str, Any]:
        """The figures above the list."""
        recent = self._since(60)
        active = [row for row in self._shown.values() if row["status"] != states.RETIRED]
        nodes = [node for node, agents in self._directory.nodes.items() if agents]
        connected = sum(self._presence.lease(node) is not None for node in nodes)
        return {
            "agents": len(active),
            "online": sum(row["status"] == states.ONLINE for row in active),
            "problems": sum(row["problem"] > 0 for row in active),
            "nodes": len(nodes),
            "connected": connected,
            "unread": sum(row["unread"] for row in active),
            "last_min": self._counters.sent_count - recent.sent,
            "operator_unread": self._counters.mailbox(OPERATOR).unread,
            "version": self._version,
            "reserves": " · ".join(reserves.words(self._left)),
        }

    def _run(self) -> None:
        """The board's greenlet; an error is logged and the next look tries again."""
        while True:
            self._event.wait(TICK_S)
            self._event.clear()
            try:
                self.tick()
            except Exception:
                logger.exception("The operator's board could not be brought up to date")
            greenlets.sleep(PAUSE_S)

    def tick(self) -> None:
        """Take a sample when one is due, and tell the open pages what has changed.

        Alerts are looked at with each sample, so that they hold since when they do and not since
        somebody looks.
        """
        is_due = self._clock.monotonic() - self.samples[-1].at >= SAMPLE_S
        if is_due:
            self._sample()
        if self._pages:
            self._publish()
        elif is_due:
            self._look()

    @property
    def firing(self) -> list[dict[str, str]]:
        """The alerts that fire, as of the last look: 10 s ago at most."""
        return self._alerts

    def _publish(self) -> None:
        before, rest_before = self._told  # not what was shown: that may have been to one page
        self._look()
        rest = (self._alerts, self._nodes)
        self._told = (self._shown, rest)
        changed = [row for name, row in self._shown.items() if before.get(name) != row]
        gone = [name for name in before if name not in self._shown]
        frames = []
        if changed or gone or rest_before != rest:
            frames.append(self._event_of(changed, gone, full=False))
        if self._feed or self._read:
            feed, read = list(self._feed), list(self._read)
            self._feed.clear()
            self._read.clear()
            fields: dict[str, object] = {"messages": feed, "read": read}
            frames.append(sse.control("feed", fields))
        for page in list(self._pages):
            for frame in frames:
                page.put(Entry(frame))

    def _event_of(
        self, agents: Sequence[dict[str, Any]], gone: Sequence[AgentName], *, full: bool
    ) -> bytes:
        fields: dict[str, object] = {
            "now": rfc3339(self._clock.now_ms()),
            "full": full,
            "agents": agents,
            "gone": gone,
            "nodes": self._nodes,
            "alerts": self._alerts,
            "totals": self.totals(),
        }
        return sse.control("fleet", fields)

    def _look(self) -> None:
        """Bring rows and alerts up to date; reads the database only after a change."""
        self._fleet.refresh()
        self._shown = {facts.name: agent_row(facts) for facts in self._fleet.agents()}
        self._nodes = [node_row(facts) for facts in self._fleet.nodes() if facts.agents]
        firing = self._watch.firing(self._figures(), self._clock.monotonic())
        self._alerts = [
            {
                "name": one.rule.name,
                "severity": one.rule.severity,
                "subject": one.subject,
                "words": one.words,
                "advice": one.rule.advice,
            }
            for one in firing
        ]

    def _sample(self) -> None:
        self._left = self._reserves.look()
        self.samples.append(
            Sample(
                at=self._clock.monotonic(),
                wall=self._clock.now_ms(),
                sent=self._counters.sent_count,
                pushed=self._counters.pushed_count,
                acked=self._counters.acked_count,
                hops={hop: list(of.histogram.counts) for hop, of in self._latency.hops.items()},
                disk={name: list(h.counts) for name, h in self._vitals.histograms().items()},
                refusals=dict(self._refusals),
                wal_bytes=self._vitals.counts()["wal_bytes"],
            )
        )

    def _since(self, seconds: float) -> Sample:
        """The oldest sample that is not older than so many seconds, or the newest."""
        start = self._clock.monotonic() - seconds
        return next((s for s in self.samples if s.at >= start), self.samples[-1])

    def _figures(self) -> alerts.Figures:
        then = self._since(WINDOW_S)
        now_ms = self._clock.now_ms()
        commits = self._vitals.histograms()["commit_s"]
        grown = [new - old for new, old in zip(commits.counts, then.disk["commit_s"], strict=True)]

        def more(*codes: str) -> int:
            return sum(self._refusals.get(c, 0) - then.refusals.get(c, 0) for c in codes)

        return alerts.Figures(
            silent_nodes=tuple(
                node
                for node, agents in self._directory.nodes.items()
                if agents and self._presence.lease(node) is None
            ),
            deaf_gateways=tuple(
                name for name, row in self._shown.items() if row["status"] == states.GATEWAY_DOWN
            ),
            oldest_unread_s={
                name: (now_ms - at) / 1000
                for name, at in self._fleet.oldest.items()
                if name != OPERATOR
            },
            disk_full_5m=more("disk_full"),
            refused_5m=more("unauthenticated", "auth_throttled"),
            commit_p99_s=quantile(grown, commits.bounds, 0.99),
            wal_bytes=self.samples[-1].wal_bytes,
            queue_events_max=max((stream.waiting for stream in self._broker), default=0),
            **self._running_out(),
        )

    def _running_out(self) -> dict[str, Any]:
        """The figures of alerts about what runs out, as of the last sample."""
        left, now = self._left, self._left.now
        full_at = left.disk_full_at
        return {
            "certificates_s": {n: (at - now) / 1000 for n, at in left.certificates.items()},
            "disk_free_bytes": left.disk_free_bytes,
            "disk_full_s": None if full_at is None else (full_at - now) / 1000,
            "rotating_s": {node: (now - at) / 1000 for node, at in left.rotating.items()},
            "backup_age_s": left.backup_age_s,
            "archive_over_s": left.archive_age_s - left.retain_archive_ms / 1000,
        }


def agent_row(facts: AgentFacts) -> dict[str, Any]:
    """An agent as the API tells of it, but for when one that is online was last seen.

    That is every 30 s, and no news.
    """
    row = fleet_rows.agent(facts)
    return {**row, "last_seen_at": None} if facts.status == states.ONLINE else row


def node_row(facts: NodeFacts) -> dict[str, Any]:
    """A host in the API's words; one status for what its watcher and its gateways are."""
    reachable = states.GATEWAY_DOWN if facts.gateway is False else states.ONLINE
    return {
        "node": facts.node,
        "agent_count": len(facts.agents),
        "status": reachable if facts.connected else states.OFFLINE,
        "watcher_version": facts.watcher_version,
        "unconfigured": list(facts.unconfigured),
    }


def brief(sent: Sent) -> dict[str, Any]:
    """A message in the live feed: who to whom, and how its text begins."""
    message = sent.message
    return {
        "id": message.id,
        "thread_id": message.thread_id,
        "from_agent": message.sender,
        "to": [delivery.agent for delivery in sent.deliveries],
        "subject": message.subject,
        "opening": message.body[:OPENING],
        "priority": PRIORITIES[message.rank],
        "created_at": rfc3339(message.created_at),
    }
