"""Rings: agents that pass something round. Pure, the time is passed in.

Two agents of a ring never answer each other, so no pair of it shows what goes on. What shows it
are its edges: each carries as many messages, and nothing comes back over any.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.model import AgentName

SHORTEST: Final = 3
"""Agents of a ring; two that answer each other are a pair."""
LONGEST: Final = 8
"""Agents of a ring. A longer one is slow: each of its agents takes a turn in many minutes."""
EDGES: Final = 5000
"""Edges that are watched at once, about 0.5 KiB each; past it one that is not in use is forgotten,
if there is one among the oldest."""
CHANCES: Final = 8
"""How many of the oldest are looked at for one that is not in use: it keeps a send short."""
STEPS: Final = 200
"""Edges that one search looks at. Busy edges without an answer are rare, so most end at once."""


class Rings:
    """Counts messages by sender and recipient, and looks for rings among the busy edges.

    Args:
        hops: messages within the window that make a ring, all its edges together.
    """

    def __init__(self, *, hops: int, window_s: float) -> None:
        self._hops = hops
        self._window_s = window_s
        self._least = math.ceil(hops / LONGEST)
        self._kept = math.ceil(hops / SHORTEST)
        self._edges: dict[tuple[AgentName, AgentName], deque[float]] = {}
        self._busy: dict[AgentName, set[AgentName]] = {}
        """Sender -> recipients of edges that have been busy."""

    def take(self, sender: AgentName, agent: AgentName, now: float) -> tuple[AgentName, ...]:
        """Count a message; answers the ring that it closes, from its first agent by name on."""
        edge = (sender, agent)
        times = self._edges.get(edge)
        if times is None:
            times = deque(maxlen=self._kept)
            if len(self._edges) >= EDGES:
                self._make_room(now)
            self._edges[edge] = times
        times.append(now)
        least = self._least
        if len(times) < least or now - times[-least] > self._window_s:
            return ()
        self._busy.setdefault(sender, set()).add(agent)
        return self._search(sender, agent, now)

    def forget(self, agents: Sequence[AgentName]) -> None:
        """Count the edges of a ring anew."""
        for at, sender in enumerate(agents):
            self._drop((sender, agents[(at + 1) % len(agents)]))

    def _make_room(self, now: float) -> None:
        """Forget an edge: the first that is not in use, of the oldest ones."""
        for _ in range(CHANCES):
            edge = next(iter(self._edges))
            times = self._edges[edge]
            if now - times[-1] > self._window_s:
                break
            self._edges[edge] = self._edges.pop(edge)  # a second chance, behind all others
        self._drop(next(iter(self._edges)))

    def _drop(self, edge: tuple[AgentName, AgentName]) -> None:
        self._edges.pop(edge, None)
        sender, agent = edge
        busy = self._busy.get(sender)
        if busy is not None:
            busy.discard(agent)
            if not busy:
                del self._busy[sender]

    def _search(self, first: AgentName, second: AgentName, now: float) -> tuple[AgentName, ...]:
        """A way from `second` back to `first`, over edges that carry enough for its length."""
        if not self._is_one_way(first, second, now):
            return ()
        steps = 0
        ways: list[tuple[AgentName, ...]] = [(first, second)]
        while ways:
            way = ways.pop()
            for agent in self._busy.get(way[-1], ()):
                steps += 1
                if steps > STEPS:
                    return ()
                if agent == first:
                    if len(way) >= SHORTEST and self._carries(way, now):
                        start = way.index(min(way))
                        return way[start:] + way[:start]
                elif (
                    agent not in way
                    and len(way) < LONGEST
                    and self._is_one_way(way[-1], agent, now)
                ):
                    ways.append((*way, agent))
        return ()

    def _carries(self, way: tuple[AgentName, ...], now: float) -> bool:
        """Whether all edges of a ring together carry as many messages as make one."""
        needed = math.ceil(self._hops / len(way))
        pairs = zip(way, (*way[1:], way[0]), strict=True)
        return all(self._count(edge, now) >= needed for edge in pairs)

    def _is_one_way(self, sender: AgentName, agent: AgentName, now: float) -> bool:
        """Whether an edge is busy and hardly anything comes back over it."""
        there = self._count((sender, agent), now)
        return there >= self._least and 2 * self._count((agent, sender), now) <= there

    def _count(self, edge: tuple[AgentName, AgentName], now: float) -> int:
        since = now - self._window_s
        return sum(at >= since for at in self._edges.get(edge, ()))
