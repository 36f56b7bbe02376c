"""What withholds wakes, never mail: held mail is stored, shown and readable as any other.

Two kinds of guards use it. One holds an agent: all its wakes wait. The other holds single
deliveries: they alone give no reason to wake. Both say so through the counters that watchers get.

The guards tell the gate what they hold, when it begins and when it ends. So asking is a look-up,
and costs one test of truth while nothing is held. Runs in the loop's thread, never blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agent_bus.core.guards.hold import strongest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agent_bus.core.guards.hold import Hold
    from agent_bus.core.model import AgentName, Delivery, MailboxCounts


class Withholder(Protocol):
    """Holds single deliveries."""

    def is_held(self, delivery: Delivery) -> bool:
        """Whether this delivery wakes nobody now."""

    def without_held(self, box: MailboxCounts) -> MailboxCounts:
        """An agent's counters without what is held: what it has to be woken for."""

    def counted(self, box: MailboxCounts) -> None:
        """An agent's counters have changed, whether or not a watcher gets them."""


class WakeGate:
    """Which agents and deliveries wake nobody now.

    Attributes:
        publish: tells an agent's watcher its counters anew; set once, before anything is held.
    """

    def __init__(self) -> None:
        self.publish: Callable[[AgentName], object] = lambda _: None
        self._by_source: dict[str, dict[AgentName, Hold]] = {}
        self._held: dict[AgentName, Hold] = {}
        self._withholders: list[Withholder] = []

    # Agents

    def hold_of(self, agent: AgentName) -> Hold | None:
        """Why an agent is not woken now; None: nothing keeps it from being woken."""
        return self._held.get(agent) if self._held else None

    @property
    def held(self) -> Mapping[AgentName, Hold]:
        """All agents that are held."""
        return self._held

    def replace(self, source: str, holds: Mapping[AgentName, Hold]) -> None:
        """Let these be all the holds of a guard; tells the watchers of the agents that change."""
        before = self._by_source.get(source, {})
        self._by_source[source] = dict(holds)
        for agent in before.keys() | holds.keys():
            if before.get(agent) != holds.get(agent):
                self._join(agent)

    # Deliveries

    @property
    def withholds(self) -> bool:
        """Whether any guard may hold single deliveries."""
        return bool(self._withholders)

    def add_withholder(self, withholder: Withholder) -> None:
        """Ask this guard about every delivery from now on."""
        self._withholders.append(withholder)

    def is_held(self, delivery: Delivery) -> bool:
        """Whether a delivery wakes nobody now, whatever holds its agent."""
        return bool(self._withholders) and any(w.is_held(delivery) for w in self._withholders)

    def shown(self, box: MailboxCounts) -> MailboxCounts:
        """An agent's counters as its watcher gets them: without deliveries that are held."""
        for withholder in self._withholders:
            box = withholder.without_held(box)
        return box

    def counted(self, box: MailboxCounts) -> None:
        """Say that an agent's counters have changed, before its watcher gets them."""
        for withholder in self._withholders:
            withholder.counted(box)

    def changed(self, agents: Iterable[AgentName]) -> None:
        """Tell the watchers of these agents: which of their deliveries are held has changed."""
        for agent in agents:
            self.publish(agent)

    def _join(self, agent: AgentName) -> None:
        found = [holds[agent] for holds in self._by_source.values() if agent in holds]
        hold = strongest(found)
        if hold == self._held.get(agent):
            return
        if hold is None:
            del self._held[agent]
        else:
            self._held[agent] = hold
        self.publish(agent)
