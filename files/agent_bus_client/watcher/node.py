"""All agents of the node together: what the stream says goes in, attempts and reports come out.

Pure, like `Episode`, of which it holds one per agent. It adds what concerns several agents: which
replayed messages the counts of `hello` include, the stagger of a broadcast, the reports for the
hub, and what the wakes have shown of the gateway.
"""

from __future__ import annotations

from agent_bus_client.api import WakeEvent
from agent_bus_client.record import Record
from agent_bus_client.watcher.episode import Attempt, AttemptKind, Episode, Note, Timing
from agent_bus_client.watcher.gateway_kind import GatewayObserver
from agent_bus_mcp.words.terms import Stamp

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Optional

    from agent_bus_client.waker.outcome import Outcome

READ_AT = Stamp.READ.value  # a plain string: looked up once per message
CLOSER = 4.0  # times closer together: wakes that the gateway does not put off
HELD = "held"  # said of a delivery that gives no reason to wake; counters leave it out
LONGER = 5.0  # times as long: a wake may wait for its agent's own turn before it is escalated


class Report(Record):
    """One line of `POST /api/wakes`; `at` is monotonic, and is sent as an age."""

    agent: str
    event: WakeEvent
    at: float
    up_to_seq: int = 0
    reason: Optional[str] = None
    probe_id: Optional[str] = None
    duration_ms: Optional[int] = None
    loud: str = ""


class Node:
    """The wake state of the node; not thread-safe, the watcher's main loop owns it.

    Attributes:
        unconfigured: agents that the hub has on this node, but that have no settings here.
        elsewhere: agents with settings here that the hub has on other nodes.
        head: the newest delivery that the counts of the last `hello` include.
        gateway: what the wakes have shown of the node's gateway.
    """

    def __init__(
        self,
        agents: Iterable[str],
        timing: Timing,
        *,
        stagger_s: float,
        apart: Iterable[str] = (),
    ) -> None:
        """Take the agents; those `apart` are not woken by the gateway, and say nothing of it."""
        self._timing = timing
        self._apart = frozenset(apart)
        self._episodes = {name: Episode(timing) for name in agents}
        self._attempts: dict[str, Attempt] = {}
        self.gateway = GatewayObserver()
        self._stagger_s = stagger_s
        self._muted: set[str] = set()
        self._reports: list[Report] = []
        self._epoch = ""
        self._broadcast = ("", 0)
        self.unconfigured: list[str] = []
        self.elsewhere: list[str] = []
        self.head = 0

    def hello(self, now: float, facts: dict[str, Any], *, renewed: bool = False) -> None:
        """Take the counts at the start of a stream and wake every agent with unfetched mail.

        A stream that was only `renewed` means no outage: then agents are woken only for mail that
        no wake stands for yet, and the growing pauses between the other wakes go on.
        """
        if facts["epoch"] != self._epoch:
            self._epoch = facts["epoch"]
            renewed = False
            for episode in self._episodes.values():
                episode.forget()
        self.gateway.lose_sight()
        self.head = facts["head"]
        self.unconfigured = [name for name in facts["agents"] if name not in self._episodes]
        self.elsewhere = [name for name in self._episodes if name not in facts["agents"]]
        counts = {mailbox["agent"]: mailbox for mailbox in facts["mailboxes"]}
        delay_s = 0.0
        for name, episode in self._episodes.items():
            self._count(now, name, counts.get(name, {}), delay_s)
            if episode.unfetched:
                if not renewed:
                    episode.wake_again(now, delay_s=delay_s)
                delay_s += self._stagger_s

    def mailbox(self, now: float, facts: dict[str, Any]) -> None:
        """Take the counts of one agent after a change."""
        if facts["agent"] in self._episodes:
            self._count(now, facts["agent"], facts, 0.0)

    def message(self, now: float, facts: dict[str, Any]) -> None:
        """Take one pushed delivery; `now` is when its line was read."""
        name, seq = facts["to_agent"], facts["seq"]
        episode = self._episodes.get(name)
        if episode is None or facts.get(READ_AT):
            return
        self._reports.append(Report(name, WakeEvent.RECEIVED, now, seq))
        if seq <= self.head or name in self._muted or facts.get("wake") == HELD:
            return  # replayed: the counts of `hello` include it, or it was fetched already
        message_id, others = self._broadcast
        others = others + 1 if message_id == facts["id"] else 0
        self._broadcast = (facts["id"], others)
        episode.message(now, seq, delay_s=others * self._stagger_s)

    def wake_again(self, now: float, names: Iterable[str] | None = None) -> None:
        """Wake for unfetched mail: the gateway is back (all agents), or the operator asks."""
        delay_s = 0.0
        for name, episode in self._episodes.items():
            if episode.unfetched and (names is None or name in names):
                episode.wake_again(now, delay_s=delay_s)
                delay_s += self._stagger_s

    def gateway_returned(self, now: float) -> None:
        """Note that the gateway was away: its queue is lost, and its version may have changed."""
        self.gateway.forget()
        self._pace(now)
        self.wake_again(now)

    def due(self, now: float) -> list[tuple[str, Attempt]]:
        """Return the attempts to start now; each counts as running until `finished`."""
        attempts = []
        for name, episode in self._episodes.items():
            overdue = episode.overdue(now)
            if overdue is not None:
                self._note(now, name, overdue)
            attempt = episode.due(now)
            if attempt is not None:
                self._attempts[name] = attempt
                attempts.append((name, attempt))
                late = attempt.kind is AttemptKind.ESCALATE and name not in self._apart
                if late and not self.gateway.busy(now, name):
                    self.gateway.late(now, name)
                    self._pace(now)
        return attempts

    def finished(self, now: float, name: str, outcome: Outcome | None) -> None:
        """Take the outcome of the agent's running attempt."""
        attempt = self._attempts.pop(name)
        asked = outcome is not None and outcome.main_turn and outcome.is_accepted
        if asked and attempt.kind is AttemptKind.WAKE and not (outcome and outcome.coalesced):
            self.gateway.woken(now, name, early=attempt.early)
        for note in self._episodes[name].finished(now, outcome):
            self._note(now, name, note)
        self._pace(now)

    def next_at(self) -> float | None:
        """Return when `due` will have something to do; None while nothing is planned."""
        times = [at for at in (e.next_at() for e in self._episodes.values()) if at is not None]
        return min(times, default=None)

    def take_reports(self) -> list[Report]:
        """Return the reports since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def unfetched(self) -> int:
        """Return how many deliveries wait to be fetched on this node."""
        return sum(episode.unfetched for episode in self._episodes.values())

    def _note(self, now: float, name: str, note: Note) -> None:
        self._reports.append(
            Report(
                name,
                note.event,
                now,
                note.up_to_seq,
                reason=note.reason or None,
                duration_ms=note.duration_ms,
                loud=note.loud,
            )
        )

    def _count(self, now: float, name: str, facts: dict[str, Any], delay_s: float) -> None:
        """Take the hub's counts; while an agent is muted, they give no reason to wake it.

        The hub sends the counts again when the mute ends, so no clocks have to be compared.
        """
        if name in self._muted or facts.get("muted_until"):
            self.gateway.lose_sight()
        if facts.get("muted_until"):
            self._muted.add(name)
            facts = {}
        else:
            self._muted.discard(name)
        episode = self._episodes[name]
        unfetched, unread = facts.get("unfetched") or 0, facts.get("unread") or 0
        looked = unfetched < episode.unfetched
        episode.count(
            now,
            unfetched=unfetched,
            unread=unread,
            max_seq=facts.get("max_unfetched_seq") or 0,
            delay_s=delay_s,
        )
        self.gateway.hands(now, name, max(0, unread - unfetched), looked=looked)
        self._pace(now)

    def _pace(self, now: float) -> None:
        """Set how closely each agent is woken, by what is known of the gateway."""
        for name, episode in self._episodes.items():
            episode.on_trial = self.gateway.tries(now, name)
            close = self.gateway.relaxed or episode.on_trial
            episode.spacing_s = self._timing.min_interval_s / (CLOSER if close else 1.0)
            own = self.gateway.relaxed and self.gateway.busy(
                now, name
            )  # its own turn: wait for it
            episode.patience_s = self._timing.escalate_after_s * (LONGER if own else 1.0)
