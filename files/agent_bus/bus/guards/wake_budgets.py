"""Wake budgets in force: counts wakes, holds who is over a budget, and lets urgent mail through.

A wake is counted when its watcher reports that the gateway took it, after the fact. That is
enough, because an agent has at most one wake on its way: past a budget go at most as many wakes as
it has agents, once, and they are paid back before the next one. An agent that is freed while
others wait, or whose mail is urgent, is let through for one wake.

Several hubs tell each other their wakes with each beat, every 2 s. Runs in the loop's thread.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_bus.core import errors, states
from agent_bus.core.guards import budgets
from agent_bus.core.guards.hold import Hold
from agent_bus.core.guards.wakes import DAY_MS, HOUR_MS, MINUTE_MS, Wake
from agent_bus.core.slices import InboxSlice
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.guards.wake_gate import WakeGate
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.budgets import Use
    from agent_bus.core.model import Acked, AgentName, Sent, Stamp
    from agent_bus.core.states import WakeKind
    from agent_bus.store.cluster import Cluster
    from agent_bus.store.contract import Store
    from agent_bus.store.guards.wake_book import WakeBook

logger = logging.getLogger(__name__)

SOURCE: Final = "budgets"
"""What the gate knows these holds by."""
PASS_S: Final = 30.0
"""How long somebody who was let through has for the wake: a gateway takes one within seconds."""
FLUSH_S: Final = 0.5
"""Counts are written this late: what a hub forgets when it is killed."""
LATE_S: Final = 0.01
FLOOR_S: Final = 3.0
"""A watcher lets no agent be woken twice within this time, so reports of more are not believed:
else a single node's token could spend the budgets of all."""
BACKLOG: Final = 20
"""Reports of one agent that may come at once: those of a watcher that could not reach the hub."""
URGENT_LOOKED_AT: Final = 50
"""Urgent mail that is looked at per agent at the start."""
SAME_MS: Final = 2000
"""Ends of a hold that differ by less are one: they come from two clocks."""


class Pass(NamedTuple):
    """An agent over its budget is let through for one wake, between two monotonic times."""

    is_urgent: bool
    since: float
    until: float


class WakeBudgets:
    """See the module; an observer of the bus.

    Attributes:
        totals: (agent, kind) -> wakes since the start of this hub that were reported to it.
    """

    def __init__(
        self,
        *,
        store: Store,
        book: WakeBook,
        directory: Directory,
        gate: WakeGate,
        counters: Counters,
        clock: Clock,
        cluster: Cluster,
    ) -> None:
        self._store = store
        self._book = book
        self._directory = directory
        self._gate = gate
        self._counters = counters
        self._clock = clock
        self._cluster = cluster
        self.totals: Counter[tuple[AgentName, WakeKind]] = Counter()
        self._ledger = budgets.Ledger()
        self._held: dict[AgentName, Hold] = {}
        self._since: dict[AgentName, float] = {}
        self._passing: dict[AgentName, Pass] = {}
        self._urgent: dict[AgentName, None] = {}
        """Held agents with urgent mail, for which there was no reserve; first come, first."""
        self._believed_from: dict[AgentName, float] = {}
        """When (monotonic) an agent's reports are no more than its watcher can make; in the future
        after a backlog."""
        self._noted: list[Wake] = []
        self._untold: list[tuple[Any, ...]] = []
        self._is_flushing = False
        self._is_nearer = greenlets.Event()
        self._next_at = math.inf
        self._load()
        self.reload()

    def start(self) -> None:
        """Begin to look after time; returns at once."""
        greenlets.spawn(self._find_urgent)
        greenlets.spawn(self._refresh_forever)
        greenlets.spawn(self._tidy_forever)

    # Counting

    def note_all(self, wakes: Iterable[Wake]) -> None:
        """Count wakes, and look once at what that changes: nothing as a rule."""
        changes = False
        for one in wakes:
            if not self._is_believed(one.agent):
                continue
            moment = self._moment(one.at)
            kind, has_changed = self._take(one.agent, moment, one.kind)
            changes |= has_changed
            self.totals[one.agent, kind] += 1
            self._noted.append(replace(one, kind=kind))
            if self._cluster.is_plural:
                self._untold.append((one.agent, moment, kind))
        if self._noted and not self._is_flushing:
            self._is_flushing = True
            greenlets.spawn(self._flush_soon)
        if changes:
            self.refresh()

    def _is_believed(self, agent: AgentName) -> bool:
        """Whether an agent may have had one more wake: a leaky bucket, as a meter (GCRA)."""
        now = self._clock.monotonic()
        at = max(now, self._believed_from.get(agent, now))
        if at > now + (BACKLOG - 1) * FLOOR_S:
            return False
        self._believed_from[agent] = at + FLOOR_S
        return True

    def hear(self, wakes: Sequence[Sequence[Any]]) -> None:
        """Count what was reported to another hub: (agent, ms ago, kind).

        Ages, because the wall clocks of two hubs differ.
        """
        now, changes = self._clock.monotonic(), False
        for agent, ago_ms, kind in wakes:
            changes |= self._take(agent, now - max(0, ago_ms) / 1000, kind)[1]
        if changes:
            self.refresh()

    def _take(self, agent: AgentName, moment: float, kind: WakeKind) -> tuple[WakeKind, bool]:
        """Count a wake; answers its kind, and whether that may change who is held.

        It uses up a pass that there was by then; one of before is counted, and no more.
        """
        passed = self._passing.get(agent)
        has_passed = passed is not None and moment >= passed.since
        if has_passed:
            del self._passing[agent]
        if passed is not None and has_passed and passed.is_urgent:
            kind = states.URGENT
        return kind, self._count(agent, moment, kind) or has_passed

    def take_untold(self) -> tuple[Sequence[Any], ...]:
        """What was reported here since the last call, for other hubs."""
        now, untold = self._clock.monotonic(), self._untold
        self._untold = []
        return tuple((agent, round((now - at) * 1000), kind) for agent, at, kind in untold)

    def flush(self) -> None:
        """Hand the counts to the store; returns at once."""
        noted, self._noted = self._noted, []
        if noted:
            self._book.note(noted)

    # Holding

    def reload(self) -> None:
        """Go by the roster's budgets, groups and agents as they are now."""
        self._ledger.replace(self._directory.roster, self._clock.monotonic())
        self._passing = {agent: one for agent, one in self._passing.items() if one.is_urgent}
        self.refresh()

    def uses(self) -> list[Use]:
        """How much of each budget is used, the fleet's first."""
        return self._ledger.uses(self._clock.monotonic())

    def spent_names(self) -> tuple[str, ...]:
        """Whose budgets are spent now: `alpha`, `@research`, `all`."""
        return self._ledger.spent(self._clock.monotonic())

    def refresh(self) -> None:
        """Hold who is over a budget now, and let go whom there is room for."""
        if self._ledger.is_idle and not self._held:
            return
        now = self._clock.monotonic()
        self._prune(now)
        urgent_at = self._let_urgent_pass(now)
        look = self._ledger.look(now, passing=self._passers(is_urgent=False))
        over: dict[AgentName, float] = {}
        freed: list[AgentName] = []
        for agent in self._ledger.agents:
            if agent in self._passing:
                continue
            until = look.over(agent)
            if until is not None:
                over[agent] = until
            elif agent in self._held:
                freed.append(agent)
        freed.sort(key=lambda agent: (not self._waits(agent), self._since.get(agent, 0.0)))
        for agent in freed:
            if look.over_besides(agent) is not None:
                over[agent] = now + PASS_S
            elif self._waits(agent) and self._ledger.is_limited(agent):
                self._passing[agent] = Pass(is_urgent=False, since=now, until=now + PASS_S)
                look.let_through(agent)
        self._hold(over, now)
        times = [*over.values(), *urgent_at, *(one.until for one in self._passing.values())]
        self._next_at = min((budgets.finite(at, now) for at in times), default=math.inf)
        self._is_nearer.set()

    def _hold(self, over: dict[AgentName, float], now: float) -> None:
        wall = self._clock.now_ms()
        held = {}
        for agent, at in over.items():
            until_at = math.ceil(wall / 1000 + budgets.finite(at, now) - now) * 1000
            before = self._held.get(agent)
            if before is not None and abs((before.until_at or 0) - until_at) <= SAME_MS:
                held[agent] = before
            else:
                held[agent] = Hold(states.BUDGET, until_at)
        self._since = {agent: self._since.get(agent, now) for agent in held}
        self._held = held
        self._gate.replace(SOURCE, held)

    def _prune(self, now: float) -> None:
        """Let those hold again who did not need their pass; urgent mail may still wait."""
        for agent, one in list(self._passing.items()):
            if now < one.until:
                continue
            if one.is_urgent and self._waits(agent):
                self._passing[agent] = one._replace(until=now + PASS_S)
            else:
                del self._passing[agent]

    def _waits(self, agent: AgentName) -> bool:
        return self._counters.mailbox(agent).unfetched > 0

    def _passers(self, *, is_urgent: bool) -> list[AgentName]:
        return [name for name, one in self._passing.items() if one.is_urgent == is_urgent]

    # What an observer hears

    @property
    def shows_all(self) -> bool:
        """Nothing."""
        return False

    def on_sent(self, sent: Sent) -> None:
        """Urgent mail passes while the reserve lasts."""
        if self._held and sent.message.rank == 0:
            self.let_pass(delivery.agent for delivery in sent.deliveries)

    def let_pass(self, agents: Iterable[AgentName]) -> None:
        """Let agents with urgent mail through for one wake each, as far as their reserves last."""
        now = self._clock.monotonic()
        look = self._ledger.look(now, passing=self._passers(is_urgent=True))
        found = False
        for agent in agents:
            if agent not in self._held or agent in self._passing:
                continue
            if look.may_pass(agent):
                self._passing[agent] = Pass(is_urgent=True, since=now, until=now + PASS_S)
                look.let_through(agent)
                found = True
            elif agent not in self._urgent:
                self._urgent[agent] = None
                found = True
        if found:
            self.refresh()

    def _let_urgent_pass(self, now: float) -> list[float]:
        """Let those pass for whose urgent mail there is a reserve now; when to look again."""
        if not self._urgent:
            return []
        look = self._ledger.look(now, passing=self._passers(is_urgent=True))
        waiting: dict[AgentName, None] = {}
        times: list[float] = []
        for agent in self._urgent:
            if agent not in self._held or agent in self._passing or not self._waits(agent):
                continue  # it is free, or has fetched its mail
            if look.may_pass(agent):
                self._passing[agent] = Pass(is_urgent=True, since=now, until=now + PASS_S)
                look.let_through(agent)
                continue
            waiting[agent] = None
            at = look.reserve_over(agent)
            times.append(now + PASS_S if at is None else at)
        self._urgent = waiting
        return times

    def on_passed(self, expires_at: int | None) -> None:
        """Another hub's message: the hub that has the watcher's stream looks at it."""

    def on_acked(self, acked: Acked) -> None:
        """Deliveries were read: nothing to do."""

    def on_report(self, stamp: Stamp) -> None:
        """A report: `note` is told of those that count."""

    # Time

    def _load(self) -> None:
        """Count what the store knows of the last 24 hours; a minute counts at its end."""
        now = self._clock.now_ms()
        for one in self._book.counts(since=now - DAY_MS - HOUR_MS):
            moment = self._moment(min(now, one.slot_at + MINUTE_MS))
            self._count(one.agent, moment, one.kind, one.count)

    def _moment(self, at: int) -> float:
        """A wall-clock time of this hub on its monotonic clock; not in the future."""
        return self._clock.monotonic() - max(0, self._clock.now_ms() - at) / 1000

    def _count(self, agent: AgentName, moment: float, kind: WakeKind, count: int = 1) -> bool:
        """Count; whether a budget of the agent is spent now, so that somebody may be held."""
        self._ledger.note(agent, moment, count, is_urgent=kind == states.URGENT)
        return self._ledger.is_over(agent, self._clock.monotonic())

    def _flush_soon(self) -> None:
        greenlets.sleep(FLUSH_S)
        self._is_flushing = False
        self.flush()

    def _find_urgent(self) -> None:
        """Let those pass who had urgent mail before the start; it waits for them still."""
        try:
            for agent in [agent for agent in self._held if self._waits(agent)]:
                page = self._store.inbox(InboxSlice(agent, limit=URGENT_LOOKED_AT, rank=0))
                if any(delivery.fetched_at is None for delivery in page):
                    self.let_pass([agent])
        except errors.BusError as error:
            logger.info("Urgent mail of before the start was not found: %s", error.detail)

    def _refresh_forever(self) -> None:
        while True:
            self._is_nearer.clear()
            left_s = min(self._next_at - self._clock.monotonic() + LATE_S, budgets.HOUR_S)
            if left_s > 0 and self._is_nearer.wait(left_s):
                continue
            try:
                self.refresh()
            except Exception:
                logger.exception("Wake budgets could not be looked at")
                greenlets.sleep(1.0)

    def _tidy_forever(self) -> None:
        while True:
            greenlets.sleep(budgets.HOUR_S)
            if self._cluster.leads():
                self._book.tidy(now=self._clock.now_ms())
