"""The node's OpenClaw gateway, asked by HTTP to wake agents and to say how it is.

Each call blocks until the gateway has answered or the call's time is over; any thread may call.
"""

from __future__ import annotations

import json
import logging
import time

from agent_bus_client.errors import HttpError, NoAddressError, NotConnectedError
from agent_bus_client.net import http1
from agent_bus_client.net.backoff import parse_retry_after
from agent_bus_client.net.deadline import Deadline, is_timeout
from agent_bus_client.waker.outcome import Outcome, Status

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional

    from agent_bus_client.agents import Agent
    from agent_bus_client.settings import Settings

logger = logging.getLogger(__name__)

WAKE_TIMEOUT_S = 10.0  # measured: 5 ms; 90 ms under load
RUN_TIMEOUT_S = 20.0  # a mapped hook waits up to 15 s for the agent's earlier run
HEALTH_TIMEOUT_S = 5.0
OK, BAD_REQUEST, UNAUTHORIZED, NOT_FOUND = 200, 400, 401, 404
REJECTING = {BAD_REQUEST, UNAUTHORIZED, 403, NOT_FOUND, 405, 413}
"""What the gateway answers until somebody changes a setting."""


class Gateway:
    """The node's OpenClaw gateway, shared by its agents.

    `token` is called for each request. Every call ends by its own timeout, and by `deadline` if
    there is one. `older` is learned from the first wake: a gateway before 2026.8.1 ignores
    `agentId` on its wake hook, and its answer has no `eventOutcome`.
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
        """Ask `/healthz`, which needs no token and wakes nobody.

        Any answer will do, except one that says to try again later.
        """
        outcome = self._exchange("GET", "/healthz", None, timeout_s=HEALTH_TIMEOUT_S)
        return _accepted(outcome) if outcome.status is Status.REJECTED else outcome

    def check_hook(self) -> Outcome:
        """Prove that a wake would come through, without waking.

        The request has no text, and the gateway checks that last: 400 says that all else is right.
        """
        path = f"{self._base}/wake"
        outcome = self._exchange("POST", path, {}, timeout_s=HEALTH_TIMEOUT_S)
        return _accepted(outcome) if outcome.http_status == BAD_REQUEST else outcome

    def returned(self) -> None:
        """Forget what was learned: the gateway was away, and may be another version now."""
        self.older = self._configured_older

    def wake(self, agent: Agent) -> Outcome:
        """Queue the agent's wake text in its main session."""
        if self.older:
            return self._run(agent)
        text = {"text": agent.wake_text, "mode": "now", "agentId": agent.name}
        outcome = self._exchange("POST", f"{self._base}/wake", text, timeout_s=WAKE_TIMEOUT_S)
        if outcome.older_gateway:
            logger.warning(
                "gateway is older than 2026.8.1 and woke its default agent; "
                "using /hooks/agent from now on (update OpenClaw or set hook_mode: agent)",
                extra={"agent": agent.name, "gateway": self._url},
            )
            self.older = True
            return self._run(agent)
        return outcome.replaced(main_turn=True)

    def escalate(self, agent: Agent) -> Outcome | None:
        """Start an isolated run of the agent; None: an older gateway has no mapped hooks."""
        if self.older:
            return None
        path = f"{self._base}/agent-bus/{http1.quoted(agent.name)}"
        outcome = self._exchange("POST", path, {}, timeout_s=RUN_TIMEOUT_S)
        return _accepted(outcome) if outcome.is_accepted else outcome

    def _run(self, agent: Agent) -> Outcome:
        message = {
            "message": agent.wake_text,
            "agentId": agent.name,
            "name": "agent-bus",
            "deliver": False,
        }
        outcome = self._exchange("POST", f"{self._base}/agent", message, timeout_s=RUN_TIMEOUT_S)
        return _accepted(outcome) if outcome.is_accepted else outcome

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
        return outcome.replaced(duration_ms=round((time.monotonic() - started) * 1000))


def judge(answer: http1.Response, *, url: str) -> Outcome:
    """Return what the answer means."""
    status = answer.status
    text = answer.body[:200].decode("utf-8", "replace")
    if status == OK:
        try:
            event = json.loads(answer.body).get("eventOutcome")
        except (ValueError, AttributeError):
            fix = f"{url} is no OpenClaw hook: {text}"
            return Outcome(Status.REJECTED, reason="not a gateway", fix=fix, http_status=status)
        return Outcome(
            Status.ACCEPTED,
            coalesced=event == "coalesced",
            http_status=status,
            older_gateway=not event,
        )
    reason = f"gateway answered {status}"
    if status in REJECTING:
        fix = _fix(status, text, url=url)
        return Outcome(Status.REJECTED, reason=reason, fix=fix, http_status=status)
    retry_after_s = parse_retry_after(answer.headers.get("retry-after"))
    return Outcome(Status.REFUSED, reason=reason, http_status=status, retry_after_s=retry_after_s)


def _fix(status: int, text: str, *, url: str) -> str:
    """Return what the operator has to do about a rejection."""
    fixes = {
        BAD_REQUEST: f"the gateway refused the request ({text}): is the agent in its configuration"
        " and in hooks.allowedAgentIds? Run the site playbook for this node",
        UNAUTHORIZED: "the gateway does not accept the hook token: run the site playbook for this"
        " node, so that hooks.token in openclaw.json and the watcher's token agree",
        NOT_FOUND: f"{url} is not there: set hooks.enabled in openclaw.json and check hooks.path"
        " and hooks.mappings, or run the site playbook for this node",
    }
    return fixes.get(status, f"{url} answered {status}: {text}")


def _broken(error: Exception, *, sent: bool) -> Outcome:
    if isinstance(error, NotConnectedError):
        known = not isinstance(error, NoAddressError)
        what = "is not reachable" if known else "has no address"
        what = "refused the connection" if error.refused else what
        return Outcome(Status.REFUSED, reason=f"gateway {what}", detail=str(error))
    if not sent:
        return Outcome(Status.REFUSED, reason="gateway is not reachable")
    if is_timeout(error):
        return Outcome(Status.UNCLEAR, reason="gateway did not answer in time")
    return Outcome(Status.UNCLEAR, reason="gateway hung up in the middle")


def _accepted(outcome: Outcome) -> Outcome:
    return Outcome(Status.ACCEPTED, duration_ms=outcome.duration_ms)
