"""Wakes one agent: by the gateway's HTTP hooks, or by a command.

A wake blocks until the gateway has answered or the command has ended, so each agent has a
thread of its own for it. What an outcome means for the next try: watcher/episode.py.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Optional, Protocol

from agent_bus_client.errors import HttpError, NoAddressError, NotConnectedError
from agent_bus_client.net import http1
from agent_bus_client.net.backoff import parse_retry_after
from agent_bus_client.net.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus_client.settings import Agent, Settings

logger = logging.getLogger(__name__)

WAKE_TIMEOUT_S = 10.0  # measured: 5 ms, 90 ms under load
RUN_TIMEOUT_S = 20.0  # a mapped hook waits up to 15 s for the agent's earlier run
HEALTH_TIMEOUT_S = 5.0
TAIL_BYTES = 2000  # of a command's output, for the log

ACCEPTED, REFUSED, UNCLEAR, REJECTED = "accepted", "refused", "unclear", "rejected"


@dataclass(frozen=True)
class Outcome:
    """What became of one wake.

    Attributes:
        status: accepted · refused (try again soon) · unclear (sent, but no whole answer: it may
            have been accepted) · rejected (will stay so until somebody changes a setting).
        coalesced: the gateway still had the same text waiting.
        reason: short and stable, for the bus; empty when accepted.
        fix: what the operator has to do; only when rejected.
        retry_after_s: what the gateway asked for.
        duration_ms: how long the call took.
        detail: which address did what, for the log; empty where nothing is known.
        main_turn: it asked for a turn of the agent's main session, which the gateway may put off.
    """

    status: str
    coalesced: bool = False
    reason: str = ""
    fix: str = ""
    retry_after_s: Optional[float] = None
    duration_ms: int = 0
    detail: str = ""
    main_turn: bool = False


class Waker(Protocol):
    """One agent's way to be woken."""

    def wake(self) -> Outcome:
        """Wake the agent; blocks."""

    def escalate(self) -> Outcome | None:
        """Wake it by another way that other agents' turns cannot hold up; None: there is none."""

    def check(self) -> Outcome:
        """Tell whether a wake could be accepted now, without waking anything."""

    def close(self) -> None:
        """Give up what is running; called from another thread."""


class Gateway:
    """The node's OpenClaw gateway, shared by its agents.

    `token` is called for each request. Every call has to be over by `deadline`, and by its own
    timeout. `older` is learned: a gateway before 2026.8.1 ignores
    `agentId` on its wake hook, which shows in an answer without `eventOutcome`.
    """

    def __init__(
        self,
        settings: Settings,
        token: Callable[[], str],
        *,
        deadline: Optional[Deadline] = None,
    ) -> None:
        self._server = http1.Server(settings.gateway_url)
        self._deadline = deadline
        self._url = settings.gateway_url
        self._base = settings.hooks_path.rstrip("/")
        self._token = token
        self._configured_older = settings.hook_mode == "agent"
        self.older = self._configured_older

    def check(self) -> Outcome:
        """Ask `/healthz`; needs no token and wakes nobody. Any answer below 500 is one."""
        outcome = self._exchange("GET", "/healthz", None, timeout_s=HEALTH_TIMEOUT_S)
        return outcome if outcome.status in {REFUSED, UNCLEAR} else _accepted(outcome)

    def check_hook(self) -> Outcome:
        """Prove the way of a wake without waking: an empty text is refused last."""
        path = f"{self._base}/wake"
        outcome = self._exchange("POST", path, {}, timeout_s=HEALTH_TIMEOUT_S)
        empty = outcome.status == REJECTED and outcome.reason == "gateway answered 400"
        return _accepted(outcome) if empty else outcome

    def returned(self) -> None:
        """Forget what was learned: another version may be running now."""
        self.older = self._configured_older

    def wake(self, agent: Agent) -> Outcome:
        """Queue the agent's wake text in its main session."""
        if self.older:
            return self._run(agent)
        text = {"text": agent.wake_text, "mode": "now", "agentId": agent.name}
        outcome = self._exchange("POST", f"{self._base}/wake", text, timeout_s=WAKE_TIMEOUT_S)
        if outcome.status == ACCEPTED and outcome.reason == "older":
            logger.warning(
                "gateway is older than 2026.8.1 and woke its default agent; "
                "using /hooks/agent from now on (update OpenClaw or set hook_mode: agent)",
                extra={"agent": agent.name, "gateway": self._url},
            )
            self.older = True
            return self._run(agent)
        return replace(outcome, main_turn=True)

    def escalate(self, agent: Agent) -> Outcome | None:
        """Start an isolated run of the agent by its mapped hook; none on an older gateway."""
        if self.older:
            return None
        path = f"{self._base}/agent-bus/{agent.name}"
        outcome = self._exchange("POST", path, {}, timeout_s=RUN_TIMEOUT_S)
        return _accepted(outcome) if outcome.status == ACCEPTED else outcome

    def _run(self, agent: Agent) -> Outcome:
        message = {
            "message": agent.wake_text,
            "agentId": agent.name,
            "name": "agent-bus",
            "deliver": False,
        }
        outcome = self._exchange("POST", f"{self._base}/agent", message, timeout_s=RUN_TIMEOUT_S)
        return _accepted(outcome) if outcome.status == ACCEPTED else outcome

    def _exchange(self, method: str, path: str, body: object, *, timeout_s: float) -> Outcome:
        started = time.monotonic()
        sent: list[bool] = []
        deadline = Deadline.after(timeout_s)
        if self._deadline is not None:
            deadline = self._deadline.within(timeout_s)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if method == "POST":
            headers["Authorization"] = f"Bearer {self._token()}"
        try:
            answer = http1.exchange(
                self._server,
                method,
                path,
                headers=headers,
                body=None if body is None else json.dumps(body).encode(),
                deadline=deadline,
                sent=sent,
            )
        except (OSError, HttpError) as error:
            outcome = _broken(error, sent=bool(sent))
        else:
            outcome = judge(answer, url=self._url + path)
        return replace(outcome, duration_ms=round((time.monotonic() - started) * 1000))


class HookWaker:
    """Wakes one agent through the gateway."""

    def __init__(self, agent: Agent, gateway: Gateway) -> None:
        self._agent = agent
        self._gateway = gateway

    def wake(self) -> Outcome:
        """See `Waker`."""
        return self._gateway.wake(self._agent)

    def escalate(self) -> Outcome | None:
        """See `Waker`."""
        return self._gateway.escalate(self._agent)

    def check(self) -> Outcome:
        """See `Waker`."""
        return self._gateway.check_hook()

    def close(self) -> None:
        """Nothing to give up: the process ends with the call still open."""


class CommandWaker:
    """Wakes one agent by a command in a process group of its own.

    Exit code 0 is accepted. Past the timeout the whole group is killed. `{agent}` and `{text}` are
    replaced in each part of the argv; there is no shell.
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
        """See `Waker`; the output goes to a file: a child that keeps it open cannot block."""
        import tempfile  # with subprocess 1.2 MiB, which nodes without commands save

        started = time.monotonic()
        with tempfile.TemporaryFile() as output:
            outcome = self._wake(output)
        return replace(outcome, duration_ms=round((time.monotonic() - started) * 1000))

    def escalate(self) -> Outcome | None:
        """A command has no second way."""
        return None

    def check(self) -> Outcome:
        """See `Waker`: the program must exist."""
        program = self._argv[0]
        folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
        names = [program] if os.sep in program else [f"{f}/{program}" for f in folders]
        if any(os.access(name, os.X_OK) for name in names):
            return Outcome(ACCEPTED)
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
                    return Outcome(REFUSED, reason="stopping")
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
            return Outcome(ACCEPTED)
        extra = {"agent": self._agent.name, "reason": reason, "output": _tail(output)}
        logger.warning("wake command failed", extra=extra)
        return Outcome(REFUSED, reason=reason)

    def _kill(self) -> None:
        with self._lock:
            if self._group is not None:
                try:
                    os.killpg(self._group, signal.SIGKILL)
                except ProcessLookupError:
                    self._group = None


def judge(answer: http1.Response, *, url: str) -> Outcome:
    """Return what the answer means; `reason` "older" marks a 200 without `eventOutcome`."""
    retry_after_s = parse_retry_after(answer.headers.get("retry-after"))
    text = answer.body[:200].decode("utf-8", "replace")
    if answer.status == 200:  # noqa: PLR2004 - the one status of success
        try:
            outcome = json.loads(answer.body).get("eventOutcome")
        except (ValueError, AttributeError):
            return Outcome(
                REJECTED, reason="not a gateway", fix=f"{url} is no OpenClaw hook: {text}"
            )
        return Outcome(
            ACCEPTED, coalesced=outcome == "coalesced", reason="" if outcome else "older"
        )
    fixes = {
        400: f"the gateway refused the request ({text}): is the agent in its configuration and in"
        " hooks.allowedAgentIds? Run the site playbook for this node",
        401: "the gateway does not accept the hook token: run the site playbook for this node, so"
        " that hooks.token in openclaw.json and the watcher's token agree",
        404: f"{url} is not there: set hooks.enabled in openclaw.json and check hooks.path and"
        " hooks.mappings, or run the site playbook for this node",
    }
    if answer.status in fixes or answer.status in {403, 405, 413}:
        fix = fixes.get(answer.status, f"{url} answered {answer.status}: {text}")
        return Outcome(REJECTED, reason=f"gateway answered {answer.status}", fix=fix)
    reason = f"gateway answered {answer.status}"
    return Outcome(REFUSED, reason=reason, retry_after_s=retry_after_s)


def build(agent: Agent, settings: Settings, gateway: Gateway) -> Waker:
    """Return the agent's waker."""
    if agent.waker == "command":
        return CommandWaker(agent, timeout_s=settings.command_timeout_s)
    return HookWaker(agent, gateway)


def _broken(error: Exception, *, sent: bool) -> Outcome:
    if isinstance(error, NotConnectedError):
        known = not isinstance(error, NoAddressError)
        what = "is not reachable" if known else "has no address"
        what = "refused the connection" if error.refused else what
        return Outcome(REFUSED, reason=f"gateway {what}", detail=str(error))
    if not sent:
        return Outcome(REFUSED, reason="gateway is not reachable")
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return Outcome(UNCLEAR, reason="gateway did not answer in time")
    return Outcome(UNCLEAR, reason="gateway hung up in the middle")


def _accepted(outcome: Outcome) -> Outcome:
    return Outcome(ACCEPTED, duration_ms=outcome.duration_ms)


def _no_program(program: str, why: str) -> Outcome:
    fix = f"the wake command {program!r} cannot be started ({why}): install it or correct the"
    return Outcome(
        REJECTED, reason="command cannot be started", fix=f"{fix} agent's command in the inventory"
    )


def _filled(part: str, values: dict[str, str]) -> str:
    for placeholder, value in values.items():
        part = part.replace(placeholder, value)
    return part


def _tail(output: BinaryIO) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - TAIL_BYTES))
    return output.read().decode("utf-8", "replace")
