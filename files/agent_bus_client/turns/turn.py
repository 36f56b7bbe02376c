"""One turn: the runtime as a child, its output for the journal, and its end.

When the child has ended, or has taken too long, everything that it has started is killed: what
would go on beside the next turn is not this turn's any more.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time

from agent_bus_client.record import Record
from agent_bus_client.turns import descendants
from agent_bus_client.turns.runtimes import RUNTIMES, prompt

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import IO, Callable

    from agent_bus_client.agents import Agent, Turns
    from agent_bus_client.turns.readiness import Readiness

logger = logging.getLogger(__name__)

GRACE_S = 3.0  # from SIGTERM to SIGKILL: time to write the conversation down
REAP_EVERY_S = 30.0
DRAIN_S = 5.0  # to read what is still in the pipes
LINE_BYTES = 1 << 20  # a line of output may hold a whole file that the agent has read
WORDS = 500  # characters of one line in the journal
COMPLAINTS = 5  # lines of standard error that are kept: they may say why a turn failed


class Ended(Record):
    """How a turn ended.

    Attributes:
        code: the runtime's exit code; negative for a signal.
        session: the id of its conversation; empty if it never said.
        trouble: why it failed; empty if it did not, or if it was ended from here.
        gone: there was no such conversation to resume.
        cut: why it was ended from here; empty if it was not.
    """

    code: int
    duration_s: float
    session: str
    trouble: str
    gone: bool
    cut: str


class Turn:
    """A running turn; `wait` is called once, `stop` from any thread."""

    def __init__(
        self, agent: Agent, turns: Turns, ready: Readiness, *, session: str, resume: bool
    ) -> None:
        """Start it.

        Raises:
            OSError: the program cannot be started.
        """
        self._agent = agent
        self._runtime = RUNTIMES[agent.waker]
        self._session = session
        self._trouble = ""
        self._complaints: list[str] = []
        self._cut = ""
        self._stopping = threading.Event()
        self._started = time.monotonic()
        self._limit_s = turns.limit_s
        arguments = self._runtime.arguments(agent, turns, session=session, resume=resume)
        self._child = subprocess.Popen(
            [ready.program, *arguments],
            cwd=turns.folder,
            env=ready.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._readers = [
            self._reader(self._child.stdout, self._said),
            self._reader(self._child.stderr, self._complained),
        ]

    @property
    def left_s(self) -> float:
        """How long it may still run."""
        return max(0.0, self._started + self._limit_s - time.monotonic())

    def stop(self) -> None:
        """End it soon: the service stops."""
        self._stopping.set()

    def wait(self) -> Ended:
        """Wait for its end and return how it was.

        Raises:
            OSError: it cannot be watched any more, as without file descriptors. It is killed then:
                it must not go on beside the next turn.
        """
        try:
            return self._watch()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            descendants.kill_all()
            raise

    def _watch(self) -> Ended:
        self._tell(prompt(self._agent))
        reap_at = time.monotonic() + REAP_EVERY_S
        while self._child.poll() is None and not self._cut:
            if self._stopping.wait(0.05):
                self._cut = "the service was stopped"
            elif self.left_s == 0:
                self._cut = f"it ran longer than {self._limit_s:g} s"
            if time.monotonic() >= reap_at:
                descendants.reap(but=self._child.pid)
                reap_at = time.monotonic() + REAP_EVERY_S
        if self._cut:
            self._end()
        killed = descendants.kill_all()
        code = self._child.wait()
        descendants.reap(but=self._child.pid)
        for reader in self._readers:
            reader.join(DRAIN_S)
        if killed and not self._cut:
            extra = {"agent": self._agent.name, "processes": killed}
            logger.info("what the turn left running was ended", extra=extra)
        complaints = "; ".join(self._complaints)
        gone = self._runtime.gone in complaints
        trouble = _plain(self._trouble) or _plain(complaints) or f"exit code {code}"
        return Ended(
            code,
            round(time.monotonic() - self._started, 1),
            self._session,
            "" if self._cut or code == 0 else trouble,
            gone,
            self._cut,
        )

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(GRACE_S)

    def _tell(self, words: str) -> None:
        pipe = self._child.stdin
        assert pipe is not None
        with contextlib.suppress(OSError):  # it has ended already; its exit code says how
            pipe.write(words.encode())
            pipe.close()

    def _reader(self, pipe: IO[bytes] | None, take: Callable[[bytes], None]) -> threading.Thread:
        def read() -> None:
            assert pipe is not None
            with pipe:
                for line in iter(lambda: pipe.readline(LINE_BYTES), b""):
                    take(line)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def _said(self, line: bytes) -> None:
        said = self._runtime.said(line)
        self._session = said.session or self._session
        self._trouble = said.trouble or self._trouble
        if said.words or said.trouble:
            self._log("turn said", said.words or said.trouble)

    def _complained(self, line: bytes) -> None:
        words = line.decode("utf-8", "replace").strip()
        if words:
            if self._runtime.gone in words or len(self._complaints) < COMPLAINTS:
                self._complaints.append(words[:WORDS])
            self._log("turn complained", words)

    def _log(self, what: str, words: str) -> None:
        logger.info(what, extra={"agent": self._agent.name, "words": words[:WORDS]})


def _plain(words: str) -> str:
    """Return words as one line of text: the hub refuses a report with anything else in it."""
    return "".join(char if char.isprintable() else " " for char in words).strip()
