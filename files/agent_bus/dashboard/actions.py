"""What the operator does by hand on the page; each is written down, whatever came of it.

The doing itself is the API's: the same checks, limits and answers.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from agent_bus.core import errors
from agent_bus.core.model import MessageId
from agent_bus.dashboard import page_requests
from agent_bus.http.call import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.api.messages import Api
    from agent_bus.api.operator import Operator
    from agent_bus.bus.directory import Directory
    from agent_bus.dashboard.audit import Audit
    from agent_bus.http.call import Call
    from agent_bus.http.session import Sessions
    from agent_bus.store.contract import Store


class Actions:
    """The operator's hand.

    Args:
        audit: what is done here is written down there, as are sign-ins.
    """

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        api: Api,
        operator: Operator,
        sessions: Sessions,
        audit: Audit,
    ) -> None:
        self.audit = audit
        self._store = store
        self._directory = directory
        self._api = api
        self._operator = operator
        self._sessions = sessions

    def endpoints(self) -> dict[str, Callable[[Call], Answer]]:
        """Name of each action, and its endpoint."""
        doing = {"send": self._api.send, "ack": self._ack, "wake": self._wake, "mute": self._mute}
        return {name: self._guarded(name, do) for name, do in doing.items()}

    def _guarded(self, name: str, do: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        audited = self.audit.of("page", name, do)

        def guarded(call: Call) -> Answer:
            principal = self._sessions.require_write(call)
            return audited(dataclasses.replace(call, principal=principal))

        return guarded

    def _ack(self, call: Call) -> Answer:
        """Mark one message as read for an agent; that is no sign of the agent's life."""
        body = call.parse_body(page_requests.AckAction)
        agent = self._directory.require(body.agent, field="agent")
        acked = self._store.ack_ids(agent, [MessageId(body.id)])
        if acked.unknown:
            raise errors.UnknownMessageError(MessageId(body.id), field="id")
        return Answer(200, {"agent": agent, "acked": acked.acked})

    def _wake(self, call: Call) -> Answer:
        body = call.parse_body(page_requests.AgentAction)
        return self._operator.wake(dataclasses.replace(call, path={"name": body.agent}))

    def _mute(self, call: Call) -> Answer:
        body = call.parse_body(page_requests.MuteAction)
        inner = json.dumps({"for_s": body.for_s}).encode()
        return self._operator.mute(
            dataclasses.replace(call, path={"name": body.agent}, body=inner)
        )
