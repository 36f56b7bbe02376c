"""What other hubs tell, brought to the parts that it concerns; runs in the loop, never blocks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from agent_bus.core import states
from agent_bus.core.model import Seq, Session, Stamp
from agent_bus.store import cluster as told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.app.assembly import Core
    from agent_bus.bus.broker import Stream
    from agent_bus.bus.probes import Prober
    from agent_bus.core.guards.storms.signals import Said
    from agent_bus.core.model import Acked, Agent, AgentName, MailboxCounts, Roster, Sent
    from agent_bus.http.session import Sessions
    from agent_bus.operate.fleet import Fleet
    from agent_bus.operate.hubs.watch import HubsWatch


class Hearing:
    """See `agent_bus.store.cluster.Hearer`."""

    def __init__(
        self,
        core: Core,
        *,
        fleet: Fleet,
        prober: Prober,
        sessions: Sessions,
        watch: HubsWatch,
    ) -> None:
        self._core = core
        self._fleet = fleet
        self._prober = prober
        self._sessions = sessions
        self._watch = watch
        self._name = core.cluster.name

    # Messages

    def wants(self, agents: Sequence[AgentName]) -> bool:
        """Whether a stream or an open page shows a message to these agents."""
        return self._core.fanout.shows(agents)

    def wants_receipts(self) -> bool:
        """Whether a stream or an open page shows receipts."""
        return self._core.fanout.shows_receipts()

    def on_sent(self, sent: Sent) -> None:
        """Push it."""
        self._core.fanout.on_heard(sent)

    def on_passed(
        self, first_seq: int, agents: Sequence[AgentName], expires_at: int | None
    ) -> None:
        """Wake long polls."""
        self._core.fanout.pass_by(first_seq, agents, expires_at)

    def on_said(self, said: Said) -> None:
        """Watch for storms."""
        self._core.storm.hear(said)

    def on_missed(self) -> None:
        """End all streams: they resume from the store."""
        for stream in self._core.broker:
            stream.end(states.OVERFLOW)

    def on_acked(self, acked: Acked) -> None:
        """Push receipts."""
        self._core.fanout.fan_receipts_out(acked)

    def on_mailboxes(self, mailboxes: Sequence[MailboxCounts]) -> None:
        """Keep and push counters."""
        self._core.fanout.on_mailboxes(mailboxes)

    def on_roster(self, roster: Roster, agents: Sequence[Agent]) -> None:
        """Go by it from now on."""
        self._core.fanout.on_roster(roster, agents)

    # Facts

    def on_fact(self, hub: str, fact: told.Fact) -> None:
        """Let presence and pauses go by the common order; all else was done where it was told."""
        is_own = hub == self._name
        if isinstance(fact, told.LeaseTaken):
            self._take_lease(hub, fact)
        elif isinstance(fact, told.PausePut):
            self._core.pauses.hear_put(fact)
        elif isinstance(fact, told.PauseEnded):
            self._core.pauses.hear_ended(fact)
        elif isinstance(fact, told.Muted):
            self._core.pauses.hear_mute(fact)
        elif isinstance(fact, told.StormTold):
            self._core.storm.hear_told(fact)
        elif not is_own:
            self._on_foreign(hub, fact)
        elif isinstance(fact, told.LeaseReported | told.LeaseDropped):
            self._core.presence.hear_own(fact)

    def beat(self) -> told.Beat:
        """What was noticed here."""
        beat = self._core.presence.take_untold()
        host = self._watch.take_told()
        wakes = self._core.budgets.take_untold()
        return dataclasses.replace(beat, woken=self._fleet.take_woken(), host=host, wakes=wakes)

    def on_hubs(self, live_count: int) -> None:
        """Share each sender's rate among the hubs: a sender may use all of them."""
        self._core.limiter.divide(max(1, live_count))

    def on_back(self) -> None:
        """Tell others again what they cannot have heard."""
        self._core.presence.tell_again()

    def on_fence(self, *, is_fenced: bool) -> None:
        """Send clients to other hubs while one of those may know what happens."""
        self._watch.is_fenced = is_fenced
        if is_fenced:
            self._core.broker.fence(states.SHUTDOWN)
        else:
            self._core.broker.unfence()

    def _on_foreign(self, hub: str, fact: told.Fact) -> None:
        core = self._core
        match fact:
            case told.LeaseReported():
                core.presence.hear_report(fact)
            case told.LeaseDropped():
                core.presence.hear_dropped(hub, fact)
            case told.Beat():
                core.presence.hear_beat(fact)
                self._watch.hear(hub, fact.host)
                core.budgets.hear(fact.wakes)
                for agent, at in fact.woken.items():
                    self._fleet.hear_wake(Stamp(states.ACCEPTED, agent, Seq(0), at))
            case told.HubEnded():
                core.presence.hear_ended(fact.process)
            case told.SessionOpened():
                opened = Session(fact.sha256, fact.token_sha256, fact.expires_at)
                self._sessions.hear_opened(opened)
            case told.SessionEnded():
                self._sessions.hear_ended(fact.sha256)
            case _:
                self._on_request(fact)

    def _on_request(self, fact: told.Fact) -> None:
        """What the hub that holds a watcher's stream, or runs a probe, does for another."""
        match fact:
            case told.WakeAsked():
                self._core.bus.ask_to_wake(fact.agent, fact.node)
            case told.ProbeAsked():
                self._prober.ask_here(fact.probe_id, fact.node, fact.agents)
            case told.ProbeAnswered():
                self._prober.take(
                    fact.probe_id, fact.agent, reason=fact.reason, duration_ms=fact.duration_ms
                )

    def _take_lease(self, hub: str, fact: told.LeaseTaken) -> None:
        older: Stream | None = self._core.presence.hear_taken(hub, fact)  # type: ignore[assignment]
        if older is not None:
            older.end(states.SUPERSEDED)
