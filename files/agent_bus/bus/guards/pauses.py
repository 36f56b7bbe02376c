"""Pauses in force: kept by the store, known to all hubs, told to the gate. Runs in the loop.

Their ends are counted on the monotonic clock while this process lives, and on the wall clock over
a restart. Whoever joins a paused group is paused; nothing passes a pause, not even urgent mail.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from agent_bus.core import errors, states
from agent_bus.core.guards import pauses as rules
from agent_bus.core.guards.hold import FAR_AT
from agent_bus.core.guards.pauses import Pause
from agent_bus.core.model import rfc3339
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.guards.wake_gate import WakeGate
    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.pauses import Scope
    from agent_bus.core.model import AgentName, Roster
    from agent_bus.core.states import HoldReason
    from agent_bus.store import cluster as told
    from agent_bus.store.cluster import Cluster
    from agent_bus.store.guards.wake_book import WakeBook

SOURCE: Final = "pauses"
"""What the gate knows these holds by."""
LATE_S: Final = 0.01
"""So long after its end a pause is looked at again, that it is over then for certain."""


class Pauses:
    """Puts and ends pauses, and holds the agents that they are about."""

    def __init__(
        self,
        *,
        book: WakeBook,
        directory: Directory,
        gate: WakeGate,
        clock: Clock,
        cluster: Cluster,
    ) -> None:
        self._book = book
        self._directory = directory
        self._gate = gate
        self._clock = clock
        self._cluster = cluster
        self._pauses: dict[tuple[Scope, str], tuple[Pause, float | None]] = {}
        for pause in book.pauses():
            self._keep(pause)

    def all(self) -> list[Pause]:
        """The pauses in force, the fleet's first, then by name."""
        return sorted(
            (pause for pause, deadline in self._pauses.values() if not self._is_over(deadline)),
            key=lambda pause: (pause.scope != rules.FLEET, pause.who),
        )

    def rows(self) -> list[dict[str, object]]:
        """The pauses in force, as open pages are told them."""
        return [
            {
                "who": pause.who,
                "reason": pause.reason,
                "note": pause.note,
                "since": rfc3339(pause.since_at),
                "until": rfc3339(pause.until_at),
            }
            for pause in self.all()
        ]

    def groups_lost(self, roster: Roster) -> list[str]:
        """Paused groups that another roster has no more, though it has agents of them."""
        before = self._directory.roster.groups
        return [
            pause.name
            for pause in self.all()
            if pause.scope == rules.GROUP
            and not roster.groups.get(pause.name)
            and roster.agents.keys() & set(before.get(pause.name, ()))
        ]

    def muted_until(self, agent: AgentName) -> int | None:
        """Wall-clock ms of the end of an agent's mute; None when it has none."""
        for pause in self.all():
            if (pause.scope, pause.name, pause.reason) == (rules.AGENT, agent, states.MUTED):
                return pause.until_at
        return None

    def put(
        self, scope: Scope, name: str, *, for_s: float | None, note: str | None, is_mute: bool
    ) -> Pause:
        """Pause an agent, a group or the fleet, instead of a pause of it that there is.

        Answers once it is durable, and every hub hears of it. A mute never takes the place of a
        pause: it would shorten it.

        Raises:
            errors.InvalidRequestError: the agent to mute is paused.
        """
        if is_mute and self._reason_of(scope, name) == states.PAUSED:
            raise errors.InvalidRequestError(
                f"{name} is paused, which keeps it from being woken already, and a mute would end "
                f"that. Resume it first: agent-bus-admin resume {name}",
                field="for_s",
            )
        now = self._clock.now_ms()
        reason: HoldReason = states.MUTED if is_mute else states.PAUSED
        until_at = None if for_s is None else now + int(for_s * 1000)
        pause = Pause(scope, name, reason, now, until_at, note)
        self._book.put_pause(pause)
        if not self._cluster.is_plural:  # else this hub, too, has heard of it by then
            self._take(pause)
        return pause

    def end(self, scope: Scope, name: str) -> bool:
        """End a pause; False when there was none."""
        was_there = any((one.scope, one.name) == (scope, name) for one in self.all())
        self._book.end_pause(scope, name)
        if not self._cluster.is_plural:
            self._drop(scope, name)
        return was_there

    def end_mute(self, agent: AgentName) -> None:
        """End an agent's mute, never a pause."""
        if self._reason_of(rules.AGENT, agent) != states.PAUSED:
            self.end(rules.AGENT, agent)

    def _reason_of(self, scope: Scope, name: str) -> HoldReason | None:
        found = (one.reason for one in self.all() if (one.scope, one.name) == (scope, name))
        return next(found, None)

    def refresh(self) -> None:
        """Hold who is to be held now: the roster, or the time, has changed."""
        self._gate.replace(SOURCE, rules.held(self.all(), self._directory.roster))

    def hear_put(self, fact: told.PausePut) -> None:
        """A hub has kept a pause."""
        self._take(Pause(**{f.name: getattr(fact, f.name) for f in dataclasses.fields(Pause)}))

    def hear_ended(self, fact: told.PauseEnded) -> None:
        """A hub has forgotten a pause."""
        self._drop(fact.scope, fact.name)

    def hear_mute(self, fact: told.Muted) -> None:
        """A hub of an earlier release, which knows no pauses, has muted an agent or ended that."""
        if fact.is_pause:
            return
        known = self._pauses.get((rules.AGENT, fact.agent))
        if not fact.until_at:
            if known is not None and known[0].reason == states.MUTED:
                self._drop(rules.AGENT, fact.agent)
        elif known is None or (known[0].until_at or FAR_AT) < fact.until_at:
            now = self._clock.now_ms()
            self._take(Pause(rules.AGENT, fact.agent, states.MUTED, now, fact.until_at))

    def _take(self, pause: Pause) -> None:
        self._keep(pause)
        self.refresh()

    def _drop(self, scope: Scope, name: str) -> None:
        self._pauses.pop((scope, name), None)
        self.refresh()

    def _keep(self, pause: Pause) -> None:
        deadline: float | None = None
        if pause.until_at is not None and pause.until_at < FAR_AT:
            left_s = max(0.0, (pause.until_at - self._clock.now_ms()) / 1000)
            deadline = self._clock.monotonic() + left_s
            greenlets.spawn(self._refresh_after, left_s)
        self._pauses[pause.scope, pause.name] = (pause, deadline)

    def _is_over(self, deadline: float | None) -> bool:
        return deadline is not None and self._clock.monotonic() >= deadline

    def _refresh_after(self, delay_s: float) -> None:
        """Tell the end of a pause when it comes: watchers' clocks may differ from the hub's."""
        greenlets.sleep(delay_s + LATE_S)
        self.refresh()
