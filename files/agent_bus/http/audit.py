"""The audit: what the operator did, by a click, a call with the admin token, or a link.

The outcome is kept, too; a request that made no sense is not an action. Nodes' own sends and acks
are not kept here: they are the bus's daily work, and history has them.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final, Literal

from agent_bus.core import errors
from agent_bus.core.model import OPERATOR, AgentName, AuditEntry

if TYPE_CHECKING:
    from agent_bus.core.clock import Clock
    from agent_bus.http.call import Answer, AnyCall, Call
    from agent_bus.http.route import Action, Route
    from agent_bus.store.contract import Records

logger = logging.getLogger(__name__)

Way = Literal["page", "api", "link"]

NAMES: Final = 20
"""How many names of a list are kept; a first rollout registers a whole fleet."""
DETAIL_BYTES: Final = 2000


class Audit:
    """Keeps what was done, once it has been done."""

    def __init__(self, *, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def log(
        self,
        call: AnyCall,
        way: Way,
        action: str,
        *,
        outcome: str = "done",
        agent: str | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Keep one thing; durable when this returns.

        What was done is done: where the audit cannot be kept (a full disk, which archiving is
        to mend), the journal gets it and the operator still gets the answer.
        """
        now = self._clock.now_ms()
        about = None if agent is None else AgentName(agent)
        entry = AuditEntry(now, call.address, way, action, about, _bounded(detail or {}), outcome)
        try:
            self._records.log(entry)
        except errors.BusError as error:
            logger.error("The audit was not kept (%s): %s", error.code, entry)

    def carry_out(self, route: Route, action: Action, call: Call[Any, Any], raw: bytes) -> Answer:
        """Call the route's endpoint for the operator, and keep what came of it.

        `raw` is the body as it came, which has been found valid.
        """
        way: Way = "page" if route.access == "session_write" else "api"
        detail = _asked(action, raw if route.endpoint.body is not None else b"")
        agent = call.path.get("name") or detail.pop("agent", None)
        try:
            answer = route.endpoint.answer(call)
        except errors.InvalidRequestError:
            raise  # no action yet: nobody could say what was to be done
        except errors.BusError as error:
            self.log(call, way, action.name, outcome=error.code, agent=agent, detail=detail)
            raise
        if action.has_effect(call, answer):
            self.log(call, way, action.name, agent=agent, detail=detail | _told(action, answer))
        return answer


def _asked(action: Action, raw: bytes) -> dict[str, Any]:
    """The fields of a request that are kept; none when they take more than 2 KB."""
    if not raw or not action.keeps_body:
        return {}
    found: dict[str, Any] = json.loads(raw)
    kept = {k: v for k, v in found.items() if k not in action.hides and v is not None}
    if len(json.dumps(kept)) > DETAIL_BYTES:
        return {}
    if kept.get("from") == OPERATOR:
        del kept["from"]
    return kept


def _told(action: Action, answer: Answer) -> dict[str, Any]:
    """What came of it: those parts of the answer that say something."""
    content = answer.content
    if action.keeps and answer.raw is not None:  # a send's, which is put together by hand
        content = json.loads(answer.raw)
    if not isinstance(content, dict):
        return {}
    return {name: content[name] for name in action.keeps if content.get(name)}


def _bounded(detail: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [*value[:NAMES], f"and {len(value) - NAMES} more"]
        if isinstance(value, (list, tuple)) and len(value) > NAMES
        else value
        for name, value in detail.items()
    }
