"""Answers the watcher on the agent's socket, and ends when there is nothing to do.

The main thread accepts; each question is answered by a thread of its own, since the answer to a
wake may have to wait. systemd keeps the socket while nobody runs here.
"""

from __future__ import annotations

import json
import logging
import select
import signal
import socket
import threading
import time

from agent_bus_client import release
from agent_bus_client.turns import descendants

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from types import FrameType
    from typing import Callable

    from agent_bus_client.turns.turns import Answer, Turns

logger = logging.getLogger(__name__)

ASK_S = 5.0  # for the one line of the question
QUESTION_BYTES = 1000


class Service:
    """Serves one socket; `idle_s` after the last question and turn it ends."""

    def __init__(self, listener: socket.socket, turns: Turns, *, idle_s: float) -> None:
        self._listener = listener
        self._turns = turns
        self._idle_s = idle_s
        self._stop = False
        self._answering = 0
        self._lock = threading.Lock()

    def run(self) -> int:
        """Serve until idle or told to stop; return the exit code."""
        descendants.adopt_orphans()
        wake_up, on_signal = socket.socketpair()
        on_signal.setblocking(False)
        signal.set_wakeup_fd(on_signal.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        logger.info("turns can be taken", extra={"release": release.current()})
        asked_at = time.monotonic()
        while not self._stop:
            ready, _, _ = select.select([self._listener, wake_up], [], [], min(1.0, self._idle_s))
            if self._listener in ready:
                asked_at = time.monotonic()
                self._accept()
            quiet_since = max(asked_at, self._turns.idle_since)
            busy = self._turns.busy or self._answering
            if not busy and time.monotonic() - quiet_since >= self._idle_s:
                break
        self._turns.close()
        return 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop = True

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            logger.debug("watcher hung up", extra={"reason": str(error)})
            return
        with self._lock:
            self._answering += 1
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        verbs: dict[str, Callable[[], Answer]] = {
            "wake": self._turns.wake,
            "check": self._turns.check,
        }
        try:
            with connection:
                connection.settimeout(ASK_S)
                with connection.makefile("rb") as lines:
                    question = lines.readline(QUESTION_BYTES).strip().decode("ascii", "replace")
                if question in verbs:
                    answer = vars(verbs[question]())
                    connection.sendall(json.dumps(answer).encode() + b"\n")
        except OSError as error:
            logger.debug("watcher hung up", extra={"reason": str(error)})
        except Exception:
            logger.exception("question was not answered")
        finally:
            with self._lock:
                self._answering -= 1
