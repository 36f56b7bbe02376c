"""What the fleet looks like now, told live to every open page of the dashboard.

One greenlet looks at the fleet when something happened, at most five times per second, and at
least once per second, because leases lapse by themselves. It sends what changed to all open pages.
Without an open page it only takes samples and looks at the alerts, every 10 s.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from agent_bus.bus.broker import Entry, Stream
from agent_bus.core import errors, sse, states
from agent_bus.core.model import OPERATOR, PRIORITIES, rfc3339
from agent_bus.operate import fleet_rows, reserves
from agent_bus.operate.hubs import rows as hub_rows
from agent_bus.runtime import greenlets
from agent_bus.runtime.greenlets import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.bus.counters import Counters
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import Acked, AgentName, Sent, Stamp
    from agent_bus.operate.alerting import Alerting
    from agent_bus.operate.fleet import AgentFacts, Fleet, NodeFacts
    from agent_bus.operate.hubs.watch import HubsWatch
    from agent_bus.operate.samples import Samples

logger = logging.getLogger(__name__)

TICK_S: Final = 1.0
"""No event announces the end of a lease or a mute, so a page may show it this late."""
PAUSE_S: Final = 0.2
"""Between two looks at a busy bus: faster than anybody reads."""
FEED: Final = 200
"""Messages in one event for a page; past it the oldest are left out."""
OPENING: Final = 80
"""Characters of a body that stand for it when it has no subject."""

REACHED: Final = frozenset({states.ONLINE, states.PAUSED, states.BUDGET})
"""States of agents whose watcher and gateway are there."""


class Overview:
    """See the module.

    Args:
        storms: what is damped or held.
        pauses: what the operator keeps from being woken.
        version: the running release, by which a page sees that it is out of date.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        alerting: Alerting,
        samples: Samples,
        counters: Counters,
        clock: Clock,
        version: str,
        watch: HubsWatch,
        storms: Callable[[], list[dict[str, object]]],
        pauses: Callable[[], list[dict[str, object]]],
    ) -> None:
        self._fleet = fleet
        self._pauses = pauses
        self._storms = storms
        self._watch = watch
        self._alerting = alerting
        self._samples = samples
        self._counters = counters
        self._clock = clock
        self._version = version
        self._pages: set[Stream] = set()
        self._event = Event()
        self._feed: deque[dict[str, Any]] = deque(maxlen=FEED)
        self._read: deque[dict[str, Any]] = deque(maxlen=FEED)
        self._shown: dict[AgentName, dict[str, Any]] = {}
        self._told: tuple[dict[AgentName, dict[str, Any]], object] = ({}, None)
        self._nodes: list[dict[str, Any]] = []
        self._hubs: dict[str, Any] = {}
        self._connected = 0

    def start(self) -> None:
        """Begin; the fleet must have begun."""
        greenlets.spawn(self._run)

    def on_sent(self, sent: Sent) -> None:
        """A message is durable."""
        if self._pages:
            self._feed.append(brief(sent))
        self._event.set()

    @property
    def shows_all(self) -> bool:
        """Whether a page is open."""
        return bool(self._pages)

    def on_passed(self, _expires_at: int | None) -> None:
        """Another hub stored a message while no page was open."""
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
            self._told = (self._shown, self._rest())
        self._pages.add(page)
        return self._event_of(list(self._shown.values()), [], full=True)

    def leave(self, page: Stream) -> None:
        """Forget a page; harmless when repeated."""
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
            "alerts": self._alerting.firing,
            "totals": self.totals(),
            "hubs": self._hubs,
            "storms": self._storms(),
            "pauses": self._pauses(),
        }

    def elsewhere(self) -> list[dict[str, str]]:
        """The other hubs' names and addresses, for a page whose hub is lost."""
        state = self._watch.state
        hubs = () if state is None else state.hubs
        return [{"name": h.name, "url": h.url} for h in hubs if h.url and not h.answers]

    def totals(self) -> dict[str, Any]:
        """The figures above the list."""
        recent = self._samples.since(60)
        active = [row for row in self._shown.values() if row["status"] != states.RETIRED]
        return {
            "agents": sum(row["status"] != states.GUEST for row in active),
            "online": sum(row["status"] in REACHED for row in active),
            "problems": sum(row["problem"] > 0 for row in active),
            "nodes": sum(row["status"] != states.GUEST for row in self._nodes),
            "connected": self._connected,
            "unread": sum(row["unread"] for row in active),
            "last_min": self._counters.accepted_count - recent.sent,
            "operator_unread": self._counters.mailbox(OPERATOR).unread,
            "version": self._version,
            "reserves": " · ".join(reserves.words(self._samples.newest.left)),
        }

    def _run(self) -> None:
        """The greenlet; an error is logged and the next look tries again."""
        while True:
            self._event.wait(TICK_S)
            self._event.clear()
            try:
                self.tick()
            except errors.NoPrimaryError as error:
                logger.info("The overview of open pages was not updated: %s", error.detail)
            except Exception:
                logger.exception("The overview of open pages could not be updated")
            greenlets.sleep(PAUSE_S)

    def tick(self) -> None:
        """Take a sample when one is due, and tell the open pages what has changed.

        Alerts are looked at with each sample, so that an alert counts from when it holds, not from
        when somebody looks.
        """
        is_due = self._samples.is_due()
        if is_due:
            self._samples.take()
        if self._pages:
            self._publish()
        elif is_due:
            self._look()

    def _publish(self) -> None:
        before, rest_before = self._told  # not what was shown: one page alone may have seen that
        self._look()
        rest = self._rest()
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
            "alerts": self._alerting.firing,
            "totals": self.totals(),
            "storms": self._storms(),
            "pauses": self._pauses(),
            **({"hubs": self._hubs} if self._hubs else {}),
        }
        return sse.control("fleet", fields)

    def _rest(self) -> object:
        """What pages are told besides agents, to compare."""
        return (self._alerting.firing, self._nodes, self._hubs, self._storms(), self._pauses())

    def _look(self) -> None:
        """Bring rows and alerts up to date; reads the database only after a change."""
        self._fleet.refresh()
        agents = self._fleet.agents()
        nodes = [facts for facts in self._fleet.nodes() if facts.agents]
        self._shown = {facts.name: agent_row(facts) for facts in agents}
        self._nodes = [node_row(facts) for facts in nodes]
        self._connected = sum(facts.connected for facts in nodes)
        state = self._watch.state
        self._hubs = hub_rows.panel(state) if state is not None and state.is_plural else {}
        self._alerting.look(agents, nodes)


def agent_row(facts: AgentFacts) -> dict[str, Any]:
    """An agent in the API's words, without when it was last seen while it is online.

    That changes every 30 s and is no news.
    """
    row = fleet_rows.agent(facts)
    return {**row, "last_seen_at": None} if facts.status in REACHED else row


def node_row(facts: NodeFacts) -> dict[str, Any]:
    """A node in the API's words, with one status for its watcher and gateways."""
    away = states.GUEST if facts.guest else states.OFFLINE
    reachable = states.GATEWAY_DOWN if facts.gateway is False else states.ONLINE
    return {
        "node": facts.node,
        "agent_count": len(facts.agents),
        "status": reachable if facts.connected else away,
        "watcher_version": facts.watcher_version,
        "unconfigured": list(facts.unconfigured),
    }


def brief(sent: Sent) -> dict[str, Any]:
    """A message in the live feed: from whom, to whom, and how its body begins."""
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
