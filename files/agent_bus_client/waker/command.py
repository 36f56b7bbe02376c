"""Wakes one agent by running a command."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time

from agent_bus_client.waker.outcome import Outcome, Status

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import BinaryIO, Optional

    from agent_bus_client.agents import Agent

logger = logging.getLogger(__name__)

TAIL_BYTES = 2000  # of a command's output, for the log


class CommandWaker:
    """Wakes one agent by a command in a process group of its own.

    Exit code 0 means accepted. Past the timeout the whole group is killed. `{agent}` and `{text}`
    are replaced in each part of the argv; there is no shell.
    """

    def __init__(self, agent: Agent, *, timeout_s: float) -> None:
        filled = {"{agent}": agent.name, "{text}": agent.wake_text}
        self._agent = agent
        self._argv = [_filled(part, filled) for part in agent.command]
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._group: Optional[int] = None
        self._closed = False

    def wake(self) -> Outcome:
        """See `Waker`; the output goes to a file, so a child that keeps it open cannot block."""
        import tempfile  # with subprocess 1.2 MiB, which nodes without commands save

        started = time.monotonic()
        with tempfile.TemporaryFile() as output:
            outcome = self._wake(output)
        return outcome.replaced(duration_ms=round((time.monotonic() - started) * 1000))

    def escalate(self) -> Outcome | None:
        """A command has no second way."""
        return None

    def check(self) -> Outcome:
        """See `Waker`: the program must exist."""
        program = self._argv[0]
        folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
        names = [program] if os.sep in program else [f"{f}/{program}" for f in folders]
        if any(os.access(name, os.X_OK) for name in names):
            return Outcome(Status.ACCEPTED)
        return _no_program(program, "not found")

    def close(self) -> None:
        """Kill a running command."""
        with self._lock:
            self._closed = True
        self._kill()

    def _wake(self, output: BinaryIO) -> Outcome:
        import subprocess

        try:
            with self._lock:
                if self._closed:
                    return Outcome(Status.REFUSED, reason="stopping")
                child = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
                self._group = child.pid
        except OSError as error:
            return _no_program(self._argv[0], error.strerror or str(error))
        try:
            code = child.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            self._kill()
            child.wait()
            reason = f"command ran longer than {self._timeout_s:g} s"
        else:
            reason = "" if code == 0 else f"command ended with code {code}"
        finally:
            with self._lock:
                self._group = None
        if not reason:
            return Outcome(Status.ACCEPTED)
        extra = {"agent": self._agent.name, "reason": reason, "output": _tail(output)}
        logger.warning("wake command failed", extra=extra)
        return Outcome(Status.REFUSED, reason=reason)

    def _kill(self) -> None:
        with self._lock:
            if self._group is not None:
                try:
                    os.killpg(self._group, signal.SIGKILL)
                except ProcessLookupError:
                    self._group = None


def _no_program(program: str, why: str) -> Outcome:
    fix = f"the wake command {program!r} cannot be started ({why}): install it or correct the"
    return Outcome(
        Status.REJECTED,
        reason="command cannot be started",
        fix=f"{fix} agent's command in the inventory",
    )


def _filled(part: str, values: dict[str, str]) -> str:
    for placeholder, value in values.items():
        part = part.replace(placeholder, value)
    return part


def _tail(output: BinaryIO) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - TAIL_BYTES))
    return output.read().decode("utf-8", "replace")
