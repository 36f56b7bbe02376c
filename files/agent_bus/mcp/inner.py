"""Calls the API's endpoints from within: the same models, rights, limits and audit, no HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from agent_bus.core import errors
from agent_bus.http.call import Call
from agent_bus.mcp import codec
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent_bus.http.audit import Audit
    from agent_bus.http.call import Answer, AnyCall
    from agent_bus.http.route import Route


class Inner:
    """Finds the endpoint of a path, and calls it for whoever makes another call.

    Args:
        table: the routes of the API.
    """

    def __init__(self, table: Sequence[Route], audit: Audit) -> None:
        self._audit = audit
        self._fixed = {(one.method, one.paths[0]): one for one in table if "<" not in one.path}
        self._last = {
            (one.method, one.paths[0].partition("<")[0]): one
            for one in table
            if one.path.endswith(">")
        }

    def call(
        self,
        outer: AnyCall,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - decoded JSON
        """What the endpoint answers, decoded; query parameters that are None are left out.

        Raises:
            errors.BusError: what the endpoint raises, or the models do.
        """
        route, variables = self._find(method, path)
        given = {name: str(value) for name, value in (query or {}).items() if value is not None}
        call: Call[Any, Any] = Call(  # `replace` takes three times as long
            principal=outer.principal,
            query=route.endpoint.parse_query(given),
            body=route.endpoint.parse_fields(body or {}),
            headers=headers or {},
            path=variables,
            parameters=given,
            socket=outer.socket,
            address=outer.address,
            scheme=outer.scheme,
            is_dropped=outer.is_dropped,
        )
        if call.principal.is_admin and route.action is not None:
            raw = b"" if body is None else json.dumps(body).encode()
            answer = self._audit.carry_out(route, route.action, call, raw)
        else:
            answer = route.endpoint.answer(call)
        return _content(answer)

    def begin(
        self,
        outer: AnyCall,
        path: str,
        *,
        body: Mapping[str, object],
        headers: Mapping[str, str],
        done: Callable[[Any], None],
    ) -> None:
        """Begin a POST in the loop itself; `done` gets the decoded answer, or an exception.

        Raises:
            greenlets.MustWaitError: it has to wait for something; nothing has come of it so far.
            errors.BusError: what the endpoint raises, or the models do.
        """
        route = self._fixed["POST", path]
        begin = route.endpoint.begin
        if begin is None or (outer.principal.is_admin and route.action is not None):
            raise greenlets.MustWaitError  # the audit waits for the disk
        call: Call[Any, Any] = Call(
            principal=outer.principal,
            query=None,
            body=route.endpoint.parse_fields(body),
            headers=headers,
            socket=outer.socket,
            address=outer.address,
        )

        def answered(found: Answer | Exception) -> None:
            done(found if isinstance(found, Exception) else _content(found))

        begin(call, answered)

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, {}
        folder, _, last = path.rpartition("/")
        route = self._last.get((method, f"{folder}/"))
        if route is None:
            raise errors.UnknownPathError(path)
        name = route.path.rpartition("<")[2].rstrip(">")
        return route, {name: unquote(last)}


def _content(answer: Answer) -> Any:  # noqa: ANN401 - decoded JSON
    return answer.content if answer.raw is None else codec.answered(answer.raw)
