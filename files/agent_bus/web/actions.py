"""What the operator does by hand on the page; each is written down, whatever came of it.

The doing itself is the API's: the same checks, limits and answers.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from agent_bus import errors
from agent_bus.model import OPERATOR, AgentName, AuditEntry, MessageId
from agent_bus.web import forms
from agent_bus.web.http import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.bus import Bus
    from agent_bus.web.api import Api
    from agent_bus.web.http import Call
    from agent_bus.web.operator import Operator
    from agent_bus.web.session import Sessions

UNLOGGED = frozenset({"body", "data"})
"""Fields that the audit leaves out: messages are kept where messages are kept."""


class Actions:
    """The operator's hand."""

    def __init__(self, *, bus: Bus, api: Api, operator: Operator, sessions: Sessions) -> None:
        self._bus = bus
        self._api = api
        self._operator = operator
        self._sessions = sessions

    def endpoints(self) -> dict[str, Callable[[Call], Answer]]:
        """Name of each action, and its endpoint."""
        doing = {"send": self._send, "ack": self._ack, "wake": self._wake, "mute": self._mute}
        return {name: self._audited(name, do) for name, do in doing.items()}

    def log(
        self,
        call: Call,
        action: str,
        *,
        outcome: str,
        agent: AgentName | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Write down what was done; durable when this returns."""
        now = self._bus.clock.now_ms()
        entry = AuditEntry(now, call.address, action, agent, detail or {}, outcome)
        self._bus.store.desk.log(entry)

    def _audited(self, name: str, do: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        def audited(call: Call) -> Answer:
            principal = self._sessions.require_write(call)
            call = dataclasses.replace(call, principal=principal)
            detail = _asked(call)
            agent = detail.pop("agent", None)
            try:
                answer = do(call)
            except errors.BusError as error:
                self.log(call, name, outcome=error.code, agent=agent, detail=detail)
                raise
            if isinstance(answer.content, dict) and "id" in answer.content:
                detail["id"] = answer.content["id"]
            self.log(call, name, outcome="done", agent=agent, detail=detail)
            return answer

        return audited

    def _send(self, call: Call) -> Answer:
        return self._api.send(call)

    def _ack(self, call: Call) -> Answer:
        """Mark one message as read for an agent; that is no sign of the agent's life."""
        body = call.parse_body(forms.AckBody)
        agent = self._bus.directory.require(body.agent, field="agent")
        acked = self._bus.store.ack_ids(agent, [MessageId(body.id)])
        if acked.unknown:
            raise errors.UnknownMessageError(MessageId(body.id), field="id")
        return Answer(200, {"agent": agent, "acked": acked.acked})

    def _wake(self, call: Call) -> Answer:
        body = call.parse_body(forms.AgentBody)
        return self._operator.wake(dataclasses.replace(call, path={"name": body.agent}))

    def _mute(self, call: Call) -> Answer:
        body = call.parse_body(forms.MuteBody)
        inner = json.dumps({"for_s": body.for_s}).encode()
        return self._operator.mute(
            dataclasses.replace(call, path={"name": body.agent}, body=inner)
        )


def _asked(call: Call) -> dict[str, Any]:
    """The fields of a request, as far as they can be read, without bodies; at most 2 KB."""
    try:
        found = json.loads(call.body)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    kept = {k: v for k, v in found.items() if k not in UNLOGGED}
    if len(json.dumps(kept)) > 2000 or not isinstance(kept.get("agent", ""), str):  # noqa: PLR2004
        return {}
    if kept.get("from") == OPERATOR:
        del kept["from"]
    return kept
