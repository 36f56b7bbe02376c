"""One thread per agent that runs its wakes, so that a slow wake delays no other agent."""

from __future__ import annotations

import logging
import queue
import threading

from agent_bus_client.record import Record
from agent_bus_client.waker.outcome import Outcome, Status, Waker
from agent_bus_client.watcher.episode import Attempt, AttemptKind

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional

logger = logging.getLogger(__name__)


class Woken(Record):
    """An attempt has ended; without an outcome the agent has no way to escalate."""

    agent: str
    outcome: Optional[Outcome]


class Probed(Record):
    """A probe of one agent has ended."""

    agent: str
    probe_id: str
    outcome: Outcome


class Worker(threading.Thread):
    """Runs the attempts of one agent, one at a time."""

    def __init__(self, agent: str, waker: Waker, put: Callable[[object], None]) -> None:
        super().__init__(name=f"wake-{agent}", daemon=True)
        self._agent = agent
        self._waker = waker
        self._put = put
        self._attempts: queue.SimpleQueue[Optional[Attempt]] = queue.SimpleQueue()

    def start_attempt(self, attempt: Attempt) -> None:
        """Run the attempt once the one before has ended; a `Woken` follows."""
        self._attempts.put(attempt)

    def probe(self, probe_id: str) -> None:
        """Check the waker in a thread of its own, as a wake may be hanging; a `Probed` follows."""
        threading.Thread(target=self._probe, args=(probe_id,), daemon=True).start()

    def stop(self) -> None:
        """End the thread and kill a running command."""
        self._attempts.put(None)
        self._waker.close()

    def run(self) -> None:
        """Run attempts until `stop`."""
        while True:
            attempt = self._attempts.get()
            if attempt is None:
                return
            try:
                escalate = attempt.kind is AttemptKind.ESCALATE
                outcome = self._waker.escalate() if escalate else self._waker.wake()
            except Exception as error:
                logger.exception("wake failed unexpectedly", extra={"agent": self._agent})
                outcome = Outcome(Status.REFUSED, reason=f"watcher failed: {type(error).__name__}")
            self._put(Woken(self._agent, outcome))

    def _probe(self, probe_id: str) -> None:
        try:
            outcome = self._waker.check()
        except Exception as error:
            logger.exception("probe failed unexpectedly", extra={"agent": self._agent})
            outcome = Outcome(Status.REFUSED, reason=f"watcher failed: {type(error).__name__}")
        self._put(Probed(self._agent, probe_id, outcome))


def probe_reason(outcome: Outcome) -> str | None:
    """Return what the hub hears about a probe; None if a wake would be accepted."""
    if outcome.is_accepted:
        return None
    return f"{outcome.reason}: {outcome.fix}" if outcome.fix else outcome.reason
