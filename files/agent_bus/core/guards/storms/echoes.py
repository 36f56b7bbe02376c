"""Echoes: broadcasts that answer broadcasts. Pure, the time is passed in.

A round in which each agent tells all the others something once is none, however many agents there
are and however fast they come. What shows a storm is that the same agents are back soon.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent_bus.core.model import AgentName

AGAIN_S: Final = 600.0
"""A broadcast is an echo if its sender's own last one is that young. Rounds of status are further
apart, and an agent that answers broadcasts is back sooner, even after a long turn."""


class Echoes:
    """Counts the echoes of one thread, or of all broadcasts in threads of their own.

    Args:
        limit: echoes within the window that make a storm. More than there are senders are needed,
            too: twice each is a round with corrections.
    """

    __slots__ = ("_echoes", "_limit", "_senders", "_window_s")

    def __init__(self, *, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._senders: dict[AgentName, float] = {}
        """Sender -> its last broadcast; oldest first, all within the window."""
        self._echoes: deque[tuple[float, AgentName]] = deque()

    def take(self, sender: AgentName, now: float, *, is_answer: bool) -> bool:
        """Count a broadcast; whether it is an echo. `is_answer`: another one came shortly before.

        It is a storm if `is_storm`.
        """
        last = self._senders.pop(sender, None)
        self._senders[sender] = now
        for oldest, at in list(self._senders.items()):
            if now - at <= self._window_s:
                break
            del self._senders[oldest]
        if not is_answer or last is None or now - last > AGAIN_S:
            return False
        self._echoes.append((now, sender))
        while len(self._echoes) > self._needed:
            self._echoes.popleft()
        return True

    def is_storm(self, now: float) -> bool:
        """Whether the echoes within the window are as many as make a storm."""
        echoes = self._echoes
        return len(echoes) >= self._needed and now - echoes[0][0] <= self._window_s

    @property
    def agents(self) -> tuple[AgentName, ...]:
        """Who sent the last echoes."""
        return tuple(sorted({sender for _, sender in self._echoes}))

    def forget(self) -> None:
        """Count anew."""
        self._senders.clear()
        self._echoes.clear()

    @property
    def _needed(self) -> int:
        return max(self._limit, len(self._senders) + 1)
