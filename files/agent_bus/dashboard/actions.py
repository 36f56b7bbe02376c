"""What the operator does on the dashboard; the gate has the audit keep it, whatever came of it.

The doing itself is the API's: the same checks, limits and answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.api import routes as api
from agent_bus.api.guards import routes as guard_routes
from agent_bus.api.guards import wake_routes
from agent_bus.api.models.requests import SendBody
from agent_bus.api.models.storms import ReleaseBody
from agent_bus.api.models.wakes import PauseBody, ResumeBody
from agent_bus.core import errors
from agent_bus.core.model import MessageId
from agent_bus.dashboard.page_requests import AckAction, AgentAction, MuteAction
from agent_bus.http.call import Answer, Call
from agent_bus.http.endpoint import with_body
from agent_bus.http.route import Route

if TYPE_CHECKING:
    from agent_bus.api.guards.storms import StormCalls
    from agent_bus.api.guards.wakes import WakeCalls
    from agent_bus.api.messages import Messages
    from agent_bus.api.operator import Operator
    from agent_bus.bus.directory import Directory
    from agent_bus.http.endpoint import Endpoint
    from agent_bus.http.route import Action
    from agent_bus.store.contract import Store


class Actions:
    """The endpoints behind the dashboard's buttons."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        *,
        messages: Messages,
        operator: Operator,
        wakes: WakeCalls,
        storms: StormCalls,
    ) -> None:
        self._store = store
        self._directory = directory
        self._messages = messages
        self._operator = operator
        self._wakes = wakes
        self._storms = storms

    def routes(self) -> list[Route]:
        """The paths of all actions; a session and the page's own proof are needed."""
        return [
            _action(api.SEND, with_body(SendBody, self._messages.send)),
            _action(api.ACK, with_body(AckAction, self.ack)),
            _action(api.WAKE, with_body(AgentAction, self.wake)),
            _action(api.MUTE, with_body(MuteAction, self.mute)),
            _action(guard_routes.RELEASE, with_body(ReleaseBody, self._storms.release)),
            _action(wake_routes.PAUSE, with_body(PauseBody, self._wakes.pause)),
            _action(wake_routes.RESUME, with_body(ResumeBody, self._wakes.resume)),
        ]

    def ack(self, call: Call[None, AckAction]) -> Answer:
        """Mark one message as read for an agent; that is no sign of the agent's life."""
        agent = self._directory.require(call.body.agent, field="agent")
        message_id = MessageId(call.body.id)
        acked = self._store.ack_ids(agent, [message_id])
        if acked.unknown:
            raise errors.UnknownMessageError(message_id, field="id")
        return Answer(200, {"agent": agent, "acked": acked.acked})

    def wake(self, call: Call[None, AgentAction]) -> Answer:
        """Let an agent's watcher wake it again."""
        return self._operator.wake_agent(call.body.agent)

    def mute(self, call: Call[None, MuteAction]) -> Answer:
        """Let an agent's watcher leave it alone for a while."""
        return self._operator.mute_agent(call.body.agent, for_s=call.body.for_s)


def _action(action: Action, endpoint: Endpoint) -> Route:
    return Route(
        "POST",
        f"/ui/{action.name}",
        endpoint,
        access="session_write",
        action=action,
        at_root=True,
    )
