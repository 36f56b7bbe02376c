"""The HTTP+JSON binding of 1.0: a path for each call, problems as `google.rpc.Status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.a2a import faults
from agent_bus.a2a.faults import A2AError
from agent_bus.a2a.requests import CancelParams, GetParams, ListParams, SendParams, read
from agent_bus.a2a.rpc import UNSUPPORTED, decoded, version_of
from agent_bus.core import errors
from agent_bus.http.call import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.a2a.desk import Desk
    from agent_bus.http.call import Call

MEDIA_TYPE: Final = {"Content-Type": "application/a2a+json"}


class Rest:
    """The endpoints."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def send(self, call: Call[None, bytes]) -> Answer:
        """POST /message:send."""
        return _answer(
            self._desk, call, lambda: {"task": self._desk.send(call, _agent(call), _sent(call))}
        )

    def get(self, call: Call[None, bytes]) -> Answer:
        """GET /tasks/{id}."""
        return _answer(
            self._desk,
            call,
            lambda: self._desk.get(call, _agent(call), read(GetParams, _asked(call))),
        )

    def page(self, call: Call[None, bytes]) -> Answer:
        """GET /tasks."""
        return _answer(
            self._desk,
            call,
            lambda: self._desk.page(call, _agent(call), read(ListParams, _asked(call))),
        )

    def cancel(self, call: Call[None, bytes]) -> Answer:
        """POST /tasks/{id}:cancel; the id is the path's, whatever the body says."""
        return _answer(
            self._desk,
            call,
            lambda: self._desk.cancel(call, _agent(call), read(CancelParams, _asked(call))),
        )

    def unsupported(self, name: str) -> Callable[[Call[None, bytes]], Answer]:
        """A path for what this agent cannot do."""

        def refuse(call: Call[None, bytes]) -> Answer:
            def result() -> dict[str, Any]:
                raise A2AError(*UNSUPPORTED[name])

            return _answer(self._desk, call, result)

        return refuse


def refusal(fault: A2AError) -> Answer:
    """An error as HTTP."""
    error = {
        "code": fault.kind.status,
        "status": fault.kind.word,
        "message": fault.words,
        "details": fault.details(),
    }
    headers = dict(MEDIA_TYPE)
    if fault.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, int(fault.retry_after_s + 0.999)))
    return Answer(fault.kind.status, {"error": error}, headers)


def _answer(desk: Desk, call: Call[None, bytes], result: Callable[[], dict[str, Any]]) -> Answer:
    try:
        _require_version(call)
        return Answer(200, result(), MEDIA_TYPE)
    except A2AError as error:
        return refusal(error)
    except errors.BusError as error:
        return refusal(desk.refused(error))


def _require_version(call: Call[None, bytes]) -> None:
    """Refuse 0.3, which has other paths.

    Raises:
        A2AError: it is not 1.0.
    """
    if version_of(call) != "1.0":
        words = "These paths are A2A 1.0's: set the header A2A-Version to 1.0."
        raise A2AError(faults.NO_SUCH_VERSION, words, facts={"supported": "1.0"})


def _agent(call: Call[None, bytes]) -> str:
    return call.path["agent"]


def _asked(call: Call[None, bytes]) -> dict[str, str]:
    """The parameters of the query, and the id of the path."""
    path = {"id": call.path["task_id"]} if "task_id" in call.path else {}
    return {**call.parameters, **path}


def _sent(call: Call[None, bytes]) -> SendParams:
    return read(SendParams, decoded(call.body))
