"""The storm guard on the bus: what the ladder of `core/guards/storms` decides is kept and told.

It sees each message before its streams do, and withholds wakes through the gate. What it decides
is told to all hubs; what is held is durable. Runs in the loop's thread; writes in greenlets.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from agent_bus.bus.guards import storm_words
from agent_bus.bus.guards.storm_record import StormRecord
from agent_bus.core import errors
from agent_bus.core.guards.storms.ladder import DAMPED, HELD, RELEASED, Storm, StormGuard
from agent_bus.core.guards.storms.signals import Said
from agent_bus.core.model import rfc3339
from agent_bus.runtime import greenlets
from agent_bus.store.cluster import StormTold
from agent_bus.store.guards.storms import HeldDelivery, KeptStorm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.bus.counters import Counters
    from agent_bus.bus.guards.storm_record import Writes
    from agent_bus.bus.guards.wake_gate import WakeGate
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.storms.ladder import Verdict
    from agent_bus.core.guards.storms.signals import StormLimits
    from agent_bus.core.model import AgentName, Delivery, MailboxCounts, Sent, Seq
    from agent_bus.store.cluster import Cluster

logger = logging.getLogger(__name__)

TICK_S: Final = 0.5
"""How late a damped storm's next wake may be, and how long a delivery's times wait to be kept."""
SETTLE_S: Final = 1.0
"""Between a hold and its notice: another hub may have held the same storm, and told it by then."""


class StormWatch:
    """Withholds the wakes of storms: see `wake_gate.Withholder`.

    Args:
        limits: when a storm is one.
        writes: where to keep and to tell.
        cluster: the hubs that have to know.
        counters: each agent's newest delivery.
        gate: what tells watchers.
    """

    def __init__(
        self,
        limits: StormLimits,
        *,
        writes: Writes,
        cluster: Cluster,
        counters: Counters,
        gate: WakeGate,
        clock: Clock,
    ) -> None:
        self.guard = StormGuard(limits)
        self._going_on = self.guard.storms
        self._counts_from = self.guard.signals.counts_from
        self.limits = limits
        self._writes = writes
        self._record = StormRecord(writes, limits, storms=self._going_on, clock=clock)
        self._cluster = cluster
        self._counters = counters
        self._gate = gate
        self._clock = clock
        self._has_work = greenlets.Event()
        self._to_note: deque[HeldDelivery] = deque()
        self._let_go: deque[Seq] = deque()
        self._unfetched: dict[AgentName, int] = {}
        self._doubtful: set[AgentName] = set()
        """Whose withheld deliveries could not be looked at again."""
        gate.add_withholder(self)

    def start(self) -> None:
        """Take up what was held before the start; blocks for two reads."""
        now = self._clock.monotonic()
        for kept in self._writes.storms.held():
            for turn in self.guard.hear(_storm(kept, now), HELD, now).turns:
                self._record.remember(turn.storm, kept)
        for held in self._writes.storms.withheld():
            if held.key in self.guard.storms:
                before = self._counters.mailbox(held.agent).last_seq
                self.guard.withheld.add(held.agent, held.seq, held.key, before=before)
                self._unfetched[held.agent] = self._counters.mailbox(held.agent).unfetched
            else:  # it was only damped
                self._let_go.append(held.seq)
        greenlets.spawn(self._run)
        self._wake_up()

    # Messages

    def take(self, sent: Sent, now: float) -> None:
        """Decide about a message, before any stream gets it; `now` is monotonic."""
        message, deliveries = sent.message, sent.deliveries
        if (
            len(deliveries) == 1
            and now < self._counts_from.get((message.sender, deliveries[0].agent), 0.0)
            and not self._going_on
        ):
            return
        agents = tuple([delivery.agent for delivery in deliveries])
        said = Said(
            message.sender, agents, deliveries[0].seq, message.thread_id, message.depth,
            message.body,
        )  # fmt: skip
        self._decide_or_pass(said, now, is_own=True)

    def hear(self, said: Said) -> None:
        """Decide about a message of which only another hub knows all."""
        self._decide_or_pass(said, self._clock.monotonic(), is_own=False)

    def _decide_or_pass(self, said: Said, now: float, *, is_own: bool) -> None:
        """Decide; a fault of the guard keeps no message from its streams, and none from waking."""
        try:
            self._decide(said, now, is_own=is_own)
        except Exception:
            logger.exception("The storm guard could not look at a message")

    def _decide(self, said: Said, now: float, *, is_own: bool) -> None:
        """Decide; `is_own`: this hub keeps what becomes of it."""
        verdict = self.guard.take(said, now, at=self._clock.now_ms, newest=self._newest)
        if verdict.withheld or verdict.turns:
            at = self._clock.now_ms()
            if is_own:
                seqs = dict(zip(said.agents, range(said.first_seq, 1 << 62), strict=False))
                self._to_note.extend(
                    HeldDelivery(seqs[agent], agent, key, at)  # type: ignore[arg-type]
                    for agent, key in verdict.withheld.items()
                )
            self._carry_out(verdict)

    def is_held(self, delivery: Delivery) -> bool:
        """Whether a storm withholds this delivery's wake."""
        withheld = self.guard.withheld
        return bool(withheld) and withheld.key_of(delivery.agent, delivery.seq) is not None

    def without_held(self, box: MailboxCounts) -> MailboxCounts:
        """An agent's counters without what is withheld."""
        return self.guard.withheld.without(box)

    def counted(self, box: MailboxCounts) -> None:
        """Ask which deliveries wait still when an agent has fewer unfetched ones.

        Its own fetches may have had some of what is withheld, at any hub.
        """
        if not self._unfetched and not self.guard.withheld:
            return
        if not self.guard.withheld.of(box.agent):
            self._unfetched.pop(box.agent, None)
            return
        if box.unfetched < self._unfetched.get(box.agent, 0):
            greenlets.spawn(self._look_again, box.agent)
        self._unfetched[box.agent] = box.unfetched

    # The operator, and other hubs

    def release(self, what: str) -> Storm:
        """Let a storm go on; durable when this returns.

        Raises:
            errors.UnknownStormError: nothing of this name is damped or held.
        """
        key = storm_words.key_of(what)
        storm = self.guard.storms.get(key)
        if storm is None:
            raise errors.UnknownStormError(what, list(self.guard.storms))
        self._writes.storms.release(key, at=self._clock.now_ms())
        self._carry_out(self.guard.release(key))  # what came during the write is let go, too
        return storm

    def hear_told(self, fact: StormTold) -> None:
        """Take a step that a hub has told, in the order of all commits."""
        now = self._clock.monotonic()
        known = self.guard.storms.get(fact.key)
        if known is not None and fact.since_at < known.since_at:
            known.since_at = fact.since_at  # both found it; all go by the first
        kept = KeptStorm(fact.key, fact.signal, fact.agents, fact.since_at, fact.since_at)
        storm = _storm(kept, now)
        if fact.step != HELD:
            storm.level = DAMPED
        verdict = self.guard.hear(storm, fact.step, now)
        self._let_go_of(verdict)
        self._wake_up()

    def levels(self) -> Counter[str]:
        """How many storms are damped and held now."""
        return Counter(storm.level for storm in self.guard.storms.values())

    def rows(self) -> list[dict[str, object]]:
        """What is damped or held now, as the API and the page show it; the held ones first."""
        counts = self.guard.withheld.counts()
        found = sorted(self.guard.storms.values(), key=lambda s: (s.level != HELD, s.since_at))
        return [
            {
                "key": storm.key,
                "signal": storm.signal,
                "level": storm.level,
                "agents": list(storm.agents),
                "since_at": rfc3339(storm.since_at),
                "withheld": counts[storm.key],
                "reason": storm_words.reason(storm, self.limits),
            }
            for storm in found
        ]

    def _carry_out(self, verdict: Verdict) -> None:
        """Tell, keep and let go what this hub has decided."""
        for turn in verdict.turns:
            storm = turn.storm
            logger.warning("storm %s: %s (%s)", turn.step, storm.key, storm.signal)
            told = StormTold(storm.key, storm.signal, storm.agents, storm.since_at, turn.step)
            self._cluster.tell(told)
            if turn.step == HELD:
                self._record.hold(storm, tell_after_s=SETTLE_S)
                greenlets.spawn(self._record.settle)
            elif turn.step == RELEASED or storm.holds:
                self._record.end(storm.key)
                greenlets.spawn(self._record.settle)
        self._let_go_of(verdict)
        self._wake_up()

    def _let_go_of(self, verdict: Verdict) -> None:
        for seqs in verdict.let_go.values():
            self._let_go.extend(seqs)
        self._gate.changed(verdict.let_go)

    def _newest(self, agent: AgentName) -> Seq:
        return self._counters.mailbox(agent).last_seq

    # Greenlets

    def _wake_up(self) -> None:
        if self._is_busy():
            self._has_work.set()

    def _is_busy(self) -> bool:
        owed = self._to_note or self._let_go or self._doubtful or self._record
        return bool(self.guard.storms or owed)

    def _run(self) -> None:
        """Damped storms wake again in time, and times are kept; idle without a storm."""
        while True:
            self._has_work.wait()
            try:
                verdict = self.guard.tick(self._clock.monotonic())
                if verdict.turns or verdict.let_go:
                    self._carry_out(verdict)
                self.flush()
                if self._record:
                    greenlets.spawn(self._record.settle)
                for agent in tuple(self._doubtful):
                    self._look_again(agent)
            except errors.BusError as error:
                logger.warning("What a storm does was not kept: %s", error.detail)
            except Exception:
                logger.exception("A storm could not be looked at")
            if not self._is_busy():
                self._has_work.clear()
            greenlets.sleep(TICK_S)

    def flush(self) -> None:
        """Keep which deliveries are withheld and let go; blocks for a write if there are any."""
        held, let_go = list(self._to_note), list(self._let_go)
        if held or let_go:
            self._to_note.clear()
            self._let_go.clear()
            try:
                self._writes.storms.note(held, let_go, at=self._clock.now_ms())
            except errors.BusError:
                self._to_note.extendleft(reversed(held))  # both are kept once, however often
                self._let_go.extendleft(reversed(let_go))
                raise

    def _look_again(self, agent: AgentName) -> None:
        """Which of an agent's withheld deliveries it has not fetched meanwhile."""
        self._doubtful.discard(agent)
        asked = tuple(self.guard.withheld.of(agent))
        try:
            waiting: Sequence[Seq] = self._writes.storms.unfetched(asked)
        except errors.BusError as error:
            logger.warning("Withheld deliveries were not looked at: %s", error.detail)
            self._doubtful.add(agent)  # until then its counters may leave out too much
            self._wake_up()
            return
        self.guard.withheld.keep_only(agent, waiting, asked=asked)
        self._gate.changed([agent])


def _storm(kept: KeptStorm, now: float) -> Storm:
    return Storm(kept.key, kept.signal, kept.agents, "held", kept.since_at, now, now)
