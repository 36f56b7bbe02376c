"""When the stand-in starts turns, like one of two kinds of gateway.

`heartbeat`, as OpenClaw 2026.9.6 was measured: a woken turn starts when no turn of any agent runs,
and at most five of one agent start within a minute. `follow-up`, as in OpenClaw's later public
source: a turn waits only for the agent's own turn. Isolated runs start at once in both.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from collections.abc import Iterator

GUARD_TURNS = 5


class Turns:
    """The turns that run; all methods may be called from any thread.

    `settings` is asked for `kind` and `guard_s` each time, so that both can change at any time.
    """

    def __init__(self, settings: Callable[[], dict[str, object]]) -> None:
        self._settings = settings
        self._changed = threading.Condition()
        self._running: list[str] = []
        self._woken: set[str] = set()
        self._starts: dict[str, list[float]] = {}

    @contextmanager
    def woken(self, agent: str) -> Iterator[None]:
        """Be a turn of an agent's main session, as soon as the kind of gateway lets it start."""
        with self._changed:
            while not self._may_start(agent):
                self._changed.wait(0.2)
            self._woken.add(agent)
            self._starts.setdefault(agent, []).append(time.monotonic())
            self._running.append(agent)
        try:
            yield
        finally:
            self._ended(agent, woken=True)

    @contextmanager
    def isolated(self, agent: str) -> Iterator[None]:
        """Be an isolated run, beside all others."""
        with self._changed:
            self._running.append(agent)
        try:
            yield
        finally:
            self._ended(agent, woken=False)

    def _ended(self, agent: str, *, woken: bool) -> None:
        with self._changed:
            self._running.remove(agent)
            if woken:
                self._woken.discard(agent)
            self._changed.notify_all()

    def _may_start(self, agent: str) -> bool:
        if agent in self._woken:
            return False
        if self._settings().get("kind") != "heartbeat":
            return True
        guard_s = float(str(self._settings().get("guard_s", 60)))
        recent = [at for at in self._starts.get(agent, []) if at > time.monotonic() - guard_s]
        return not self._running and len(recent) < GUARD_TURNS
