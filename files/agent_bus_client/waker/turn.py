"""Wakes one agent by having a turn of its runtime started, in a service of its own.

systemd listens on the agent's socket and starts that service, as the user that the inventory
names. The watcher itself starts nothing and needs none of that user's rights.
"""

from __future__ import annotations

import json
import socket
import threading
import time

from agent_bus_client.waker.outcome import Outcome, Status

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any, Optional

    from agent_bus_client.agents import Agent

WAKE_TIMEOUT_S = 30.0  # the service waits up to 20 s to see whether a doubtful turn fails
CHECK_TIMEOUT_S = 4.0  # the hub waits 5 s for a probe
ANSWER_BYTES = 10_000
STATUSES = {
    "accepted": Status.ACCEPTED,
    "queued": Status.ACCEPTED,
    "refused": Status.REFUSED,
    "rejected": Status.REJECTED,
}


class TurnWaker:
    """Asks the turn service of one agent; a turn that runs already is followed by one more."""

    def __init__(self, agent: Agent, folder: Path) -> None:
        self._agent = agent
        self._path = folder / f"{agent.name}.sock"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False

    def wake(self) -> Outcome:
        """See `Waker`."""
        return self._ask("wake", timeout_s=WAKE_TIMEOUT_S)

    def escalate(self) -> Outcome | None:
        """There is no second way: nothing but its own turn can hold a turn up."""
        return None

    def check(self) -> Outcome:
        """See `Waker`."""
        return self._ask("check", timeout_s=CHECK_TIMEOUT_S)

    def close(self) -> None:
        """Hang up; a turn that was started goes on."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                connection.shutdown(socket.SHUT_RDWR)

    def _ask(self, question: str, *, timeout_s: float) -> Outcome:
        started = time.monotonic()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        outcome: Optional[Outcome] = None
        with connection:
            try:
                connection.connect(str(self._path))
            except OSError as error:
                outcome = self._unreachable(error)
            else:
                outcome = self._talk(connection, question)
        return outcome.replaced(duration_ms=round((time.monotonic() - started) * 1000))

    def _talk(self, connection: socket.socket, question: str) -> Outcome:
        with self._lock:
            if self._closed:
                return Outcome(Status.REFUSED, reason="stopping")
            self._open.add(connection)
        try:
            connection.sendall(f"{question}\n".encode())
            with connection.makefile("rb") as lines:
                line = lines.readline(ANSWER_BYTES)
            return judge(json.loads(line))
        except (OSError, ValueError) as error:
            reason = "turn service did not answer"
            return Outcome(Status.UNCLEAR, reason=reason, detail=str(error))
        finally:
            with self._lock:
                self._open.discard(connection)

    def _unreachable(self, error: OSError) -> Outcome:
        unit = f"agent-bus-turn@{self._agent.name}.socket"
        why = error.strerror or str(error)
        fix = (
            f"nobody listens on {self._path} ({why}): systemctl status {unit}; systemctl restart"
            " bus-watcher starts it"
        )
        return Outcome(Status.REJECTED, reason="turn service does not listen", fix=fix)


def judge(answer: Any) -> Outcome:  # noqa: ANN401 - JSON
    """Return what the service's answer means.

    Raises:
        ValueError: it is none of its answers.
    """
    status = STATUSES.get(str(answer.get("status"))) if isinstance(answer, dict) else None
    if status is None:
        raise ValueError(f"no answer of a turn service: {answer!r}")
    return Outcome(
        status,
        coalesced=answer["status"] == "queued",
        reason=str(answer.get("reason") or ""),
        fix=str(answer.get("fix") or ""),
        retry_after_s=answer.get("retry_after_s"),
        busy_s=answer.get("left_s") or 0.0,
    )
