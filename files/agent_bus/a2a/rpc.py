"""The JSON-RPC binding: which method is which call, in 1.0 and in 0.3.

Any body is answered by JSON-RPC, with HTTP's 200: what went wrong stands in the answer.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from agent_bus.a2a import faults, replies
from agent_bus.a2a.faults import A2AError
from agent_bus.a2a.requests import CancelParams, GetParams, ListParams, SendParams, read
from agent_bus.core import errors
from agent_bus.http.call import Answer

if TYPE_CHECKING:
    from agent_bus.a2a.desk import Desk
    from agent_bus.a2a.replies import Version
    from agent_bus.http.call import Call

MEDIA_TYPE: Final = {"Content-Type": "application/json"}
METHODS: Final[dict[str, dict[str, str]]] = {
    "1.0": {
        "SendMessage": "send",
        "GetTask": "get",
        "ListTasks": "list",
        "CancelTask": "cancel",
        "SendStreamingMessage": "stream",
        "SubscribeToTask": "stream",
        "CreateTaskPushNotificationConfig": "push",
        "GetTaskPushNotificationConfig": "push",
        "ListTaskPushNotificationConfigs": "push",
        "DeleteTaskPushNotificationConfig": "push",
        "GetExtendedAgentCard": "extended_card",
    },
    "0.3": {
        "message/send": "send",
        "tasks/get": "get",
        "tasks/cancel": "cancel",
        "message/stream": "stream",
        "tasks/resubscribe": "stream",
        "tasks/pushNotificationConfig/set": "push",
        "tasks/pushNotificationConfig/get": "push",
        "tasks/pushNotificationConfig/list": "push",
        "tasks/pushNotificationConfig/delete": "push",
        "agent/getAuthenticatedExtendedCard": "older_extended_card",
    },
}
_ONE_CARD: Final = "There is one card, at the well-known address."
UNSUPPORTED: Final = {
    "stream": (faults.UNSUPPORTED, "Nothing is streamed: SendMessage, then GetTask."),
    "push": (faults.NO_PUSH, "This agent pushes nothing; ask by GetTask."),
    "extended_card": (faults.UNSUPPORTED, _ONE_CARD),
    "older_extended_card": (faults.NO_EXTENDED_CARD, _ONE_CARD),
}
"""What the card says is not there, by the protocol's own errors."""


def version_of(call: Call[None, bytes]) -> Version:
    """The version that a call is in; none given means 0.3, as the protocol says.

    Raises:
        A2AError: another one.
    """
    given = call.headers.get("a2a-version") or call.parameters.get("A2A-Version") or "0.3"
    number = ".".join(given.strip().split(".")[:2])
    if number == "1.0":
        return "1.0"
    if number == "0.3":
        return "0.3"
    raise A2AError(
        faults.NO_SUCH_VERSION,
        "Set the header A2A-Version to 1.0; without it, the request is one of 0.3.",
        facts={"supported": "1.0, 0.3"},
    )


def answer(desk: Desk, call: Call[None, bytes], agent: str) -> Answer:
    """Answer a JSON-RPC request to an agent."""
    request_id: str | int | float | None = None
    try:
        request = decoded(call.body)
        request_id = _id_of(request)
        result = _result(desk, call, agent, request)
    except A2AError as error:
        return refusal(request_id, error)
    except errors.BusError as error:
        return refusal(request_id, desk.refused(error))
    content = {"jsonrpc": "2.0", "id": request_id, "result": result}
    return Answer(200, content, MEDIA_TYPE)


def refuse(call: Call[None, bytes], fault: A2AError) -> Answer:
    """Answer any JSON-RPC request with this fault."""
    try:
        return refusal(_id_of(decoded(call.body)), fault)
    except A2AError as other:
        return refusal(None, other)


def refusal(request_id: str | float | None, fault: A2AError) -> Answer:
    """A JSON-RPC error."""
    error = {"code": fault.kind.code, "message": fault.words, "data": fault.details()}
    return Answer(200, {"jsonrpc": "2.0", "id": request_id, "error": error}, MEDIA_TYPE)


def decoded(raw: bytes) -> object:
    """Any JSON value.

    Raises:
        A2AError: it is none.
    """
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise A2AError(faults.NO_JSON, "The body is no JSON.") from error


def _id_of(request: object) -> str | int | float | None:
    """A request's id, which its answer carries.

    Raises:
        A2AError: this is no JSON-RPC request.
    """
    if isinstance(request, list):
        raise A2AError(faults.INVALID_REQUEST, "One request at a time: batches are not taken.")
    if not isinstance(request, dict):
        raise A2AError(faults.INVALID_REQUEST, "A JSON-RPC request is an object.")
    found = request.get("id")
    is_text = isinstance(found, str) and found.isprintable()
    is_number = type(found) is int or (isinstance(found, float) and math.isfinite(found))
    if is_text or is_number or (found is None and "id" in request):
        return found
    raise A2AError(faults.INVALID_REQUEST, "id: must be a string, a number or null.", "id")


def _result(desk: Desk, call: Call[None, bytes], agent: str, request: Any) -> dict[str, Any]:  # noqa: ANN401 - a JSON object
    if request.get("jsonrpc") != "2.0":
        raise A2AError(faults.INVALID_REQUEST, 'jsonrpc: must be "2.0".', "jsonrpc")
    version = version_of(call)
    method = request.get("method")
    name = METHODS[version].get(method) if isinstance(method, str) else None
    if name is None:
        raise A2AError(faults.NO_SUCH_METHOD, _no_method(version, method), "method")
    if name in UNSUPPORTED:
        raise A2AError(*UNSUPPORTED[name])
    params = request.get("params")
    if name == "list":
        return desk.page(call, agent, read(ListParams, {} if params is None else params))
    if name == "send":
        found = desk.send(call, agent, read(SendParams, params))
        return {"task": found} if version == "1.0" else replies.older(found)
    if name == "get":
        found = desk.get(call, agent, read(GetParams, params))
    else:
        found = desk.cancel(call, agent, read(CancelParams, params))
    return found if version == "1.0" else replies.older(found)


def _no_method(version: Version, method: object) -> str:
    other = "0.3" if version == "1.0" else "1.0"
    if isinstance(method, str) and method in METHODS[other]:
        return (
            f"{method} is a method of A2A {other}, and this request is one of {version}: set the "
            f"header A2A-Version to {other}."
        )
    return f"Methods of A2A {version}: {', '.join(METHODS[version])}."
