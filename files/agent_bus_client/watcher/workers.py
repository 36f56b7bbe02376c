"""One thread per agent that runs its wakes, so that a slow wake delays no other agent."""

from __future__ import annotations

import logging
import queue
import threading

from agent_bus_client.errors import ClientError, HubRefusedError
from agent_bus_client.record import Record
from agent_bus_client.waker.outcome import Outcome, Status, Waker
from agent_bus_client.watcher.episode import Attempt, AttemptKind

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional

    from agent_bus_client.hub.hubs import Hubs

logger = logging.getLogger(__name__)

TRY_S = 2.0  # the hub waits 5 s for all reports of a probe
DENIED = {401, 403}
SITE = "run the site playbook for this node"


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
    """Runs the attempts of one agent, one at a time.

    Args:
        own: the hubs as the agent's own token sees them, if it has one; a probe tries it.
    """

    def __init__(
        self, agent: str, waker: Waker, put: Callable[[object], None], *, own: Hubs | None = None
    ) -> None:
        super().__init__(name=f"wake-{agent}", daemon=True)
        self._agent = agent
        self._waker = waker
        self._put = put
        self._own = own
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
            if outcome.is_accepted and self._own is not None:
                outcome = _tried(self._own.apart(), self._agent) or outcome
        except Exception as error:
            logger.exception("probe failed unexpectedly", extra={"agent": self._agent})
            outcome = Outcome(Status.REFUSED, reason=f"watcher failed: {type(error).__name__}")
        self._put(Probed(self._agent, probe_id, outcome))


def _tried(hubs: Hubs, agent: str) -> Outcome | None:
    """Return what is wrong with an agent's own token; None if the hub takes it, or is away."""
    query = {"agent": agent, "peek": 1, "limit": 1}
    try:
        hubs.call("GET", "/api/inbox", query=query, timeout_s=TRY_S)
    except HubRefusedError as error:
        if error.status in DENIED:
            return Outcome(Status.REFUSED, reason="the hub refuses its own token", fix=SITE)
    except ClientError as error:
        extra = {"agent": agent, "reason": str(error)}
        logger.warning("hub was not asked whether it takes an agent's own token", extra=extra)
    return None


def probe_reason(outcome: Outcome) -> str | None:
    """Return what the hub hears about a probe; None if a wake would be accepted."""
    if outcome.is_accepted:
        return None
    return f"{outcome.reason}: {outcome.fix}" if outcome.fix else outcome.reason
