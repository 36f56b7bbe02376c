"""The audit: what the operator did, by a click or by a call with the admin token.

Whatever came of it is written down, too, unless the request made no sense. Nodes' own sends and
acks are not: they are the bus's daily work, and history has them.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import TYPE_CHECKING, Any, Final, Literal

from agent_bus.api.models import requests
from agent_bus.core import errors
from agent_bus.core.model import OPERATOR, AgentName, AuditEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent_bus.core.clock import Clock
    from agent_bus.http.call import Answer, Call
    from agent_bus.http.route import Route
    from agent_bus.store.contract import Records

logger = logging.getLogger(__name__)

Way = Literal["page", "api"]

ACTIONS: Final = {
    ("POST", "/send"): "send",
    ("POST", "/ack"): "ack",
    ("PUT", "/agents"): "roster",
    ("POST", "/probes"): "probe",
    ("POST", "/agents/<name>/wake"): "wake",
    ("POST", "/agents/<name>/mute"): "mute",
    ("POST", "/admin/backup"): "backup",
    ("POST", "/admin/archive"): "archive",
    ("POST", "/admin/login-link"): "login_link",
}
"""Calls of the API that are written down when the admin token makes them, by what they are."""
UNLOGGED: Final = frozenset({"body", "data"})
"""Fields that the audit leaves out: messages are kept where messages are kept."""
ROSTER: Final = (
    "registered", "moved", "retired", "revived", "groups_changed", "tokens_changed"
)  # fmt: skip
TOLD: Final = {"send": ("id",), "backup": ("path",), "archive": ("touched",), "roster": ROSTER}
"""What of an answer is written down; a sign-in link's code is in none of it."""
NAMES: Final = 20
"""Names of a list that are written down; a first rollout registers them all."""
DETAIL_BYTES: Final = 2000


class Audit:
    """Writes down what was done, once it has been done."""

    def __init__(self, *, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def log(
        self,
        call: Call,
        way: Way,
        action: str,
        *,
        outcome: str = "done",
        agent: str | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Write one thing down; durable when this returns.

        What was done is done: where the audit cannot be kept (a full disk, which archiving is
        to mend), that goes to the journal and the operator still gets the answer.
        """
        now = self._clock.now_ms()
        about = None if agent is None else AgentName(agent)
        entry = AuditEntry(now, call.address, way, action, about, _bounded(detail or {}), outcome)
        try:
            self._records.log(entry)
        except errors.BusError as error:
            logger.error("The audit was not kept (%s): %s", error.code, entry)

    def of(self, way: Way, action: str, do: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        """The endpoint `do`, written down when the operator calls it."""

        def audited(call: Call) -> Answer:
            if not call.principal.is_admin:
                return do(call)
            detail = _asked(call, action)
            agent = call.path.get("name") or detail.pop("agent", None)
            try:
                answer = do(call)
            except errors.InvalidRequestError:
                raise  # no action yet: nobody could say what was to be done
            except errors.BusError as error:
                self.log(call, way, action, outcome=error.code, agent=agent, detail=detail)
                raise
            if action == "roster" and not _has_changed(call, answer):
                return answer  # a rollout of what is there already, or a rehearsal
            self.log(call, way, action, agent=agent, detail=detail | _told(action, answer))
            return answer

        return audited

    def over(self, table: Iterable[Route]) -> list[Route]:
        """The API's routes, with what the admin token does through them written down."""
        return [
            route
            if (action := ACTIONS.get((route.method, route.path))) is None
            else dataclasses.replace(route, endpoint=self.of("api", action, route.endpoint))
            for route in table
        ]


def _asked(call: Call, action: str) -> dict[str, Any]:
    """The fields of a request, as far as they can be read, without bodies; at most 2 KB."""
    try:
        found = json.loads(call.body)
    except (ValueError, RecursionError):  # also what nests too deep
        return {}
    if not isinstance(found, dict) or action == "roster":
        return {}  # a roster holds everything there is, and digests; the answer says what changed
    kept = {k: v for k, v in found.items() if k not in UNLOGGED and v is not None}
    if len(json.dumps(kept)) > DETAIL_BYTES or not isinstance(kept.get("agent", ""), str):
        return {}
    if kept.get("from") == OPERATOR:
        del kept["from"]
    return kept


def _told(action: str, answer: Answer) -> dict[str, Any]:
    """What came of it: those parts of the answer that say something."""
    wanted = TOLD.get(action, ())
    content = answer.content
    if wanted and answer.raw is not None:  # a send's, which is put together by hand
        content = json.loads(answer.raw)
    if not isinstance(content, dict):
        return {}
    return {name: content[name] for name in wanted if content.get(name)}


def _has_changed(call: Call, answer: Answer) -> bool:
    content = answer.content if isinstance(answer.content, dict) else {}
    return bool(content.get("changed")) and not call.parse_query(requests.RosterQuery).dry_run


def _bounded(detail: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [*value[:NAMES], f"and {len(value) - NAMES} more"]
        if isinstance(value, (list, tuple)) and len(value) > NAMES
        else value
        for name, value in detail.items()
    }
