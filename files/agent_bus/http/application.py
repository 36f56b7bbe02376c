"""The WSGI application: from a request to its route, and from the answer to a response.

Paths without a variable part are looked up in a dictionary ahead of Flask, whose routing and
request objects cost as much as the rest of a send. Everything else (variable paths, unknown ones,
wrong methods) takes Flask's route and then the same gate.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from agent_bus.core import errors
from agent_bus.core.sse import compact_json
from agent_bus.http import problem

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Sequence
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from agent_bus.http.call import Answer, PlainRequest
    from agent_bus.http.gate import Gate
    from agent_bus.http.route import Header, Route

logger = logging.getLogger(__name__)

STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
JSON_TYPE: Final = ("Content-Type", "application/json")


def application(table: list[Route], *, gate: Gate, refusals: Counter[str]) -> FixedPaths:
    """Serve every route of the table; what goes wrong on the way to one is a problem, too."""
    app = Flask("agent_bus", static_folder=None)
    app.url_map.strict_slashes = False
    for route in table:
        serve = _view(gate, route)
        for path in route.paths:
            _add(app, route.method, path, serve)

    def on_error(error: Exception) -> Response:
        told = _as_problem(error)
        refusals[told.code] += 1
        return _response(problem.answer(told))

    app.register_error_handler(Exception, on_error)
    return FixedPaths(app, gate, table)


class FixedPaths:
    """The WSGI application: a dictionary of fixed paths, and Flask for the rest."""

    def __init__(self, flask: WSGIApplication, gate: Gate, table: Sequence[Route]) -> None:
        self._flask = flask
        self._gate = gate
        self._routes = {
            (route.method, path): route
            for route in table
            if "<" not in route.path
            for path in route.paths
        }
        self._plain = {
            path.encode(): route for route in table if route.is_plain for path in route.paths
        }
        for route in self._plain.values():
            if (route.method, route.access) != ("POST", "token"):
                raise ValueError(f"{route.path}: only a POST for any token can be plain")

    @property
    def plain_headers(self) -> dict[bytes, tuple[Header, ...]]:
        """The request targets that the server may read with its C parser, and what they read."""
        return {target: route.headers for target, route in self._plain.items()}

    def begin_plain(self, request: PlainRequest, done: Callable[[Answer], None]) -> bool:
        """Begin to answer such a POST in the loop itself; False: see `Gate.begin`."""
        return self._gate.begin(self._plain[request.target], request, done)

    def answer_plain(self, request: PlainRequest) -> Answer:
        """Answer such a POST in a greenlet."""
        return self._gate.answer(self._plain[request.target], request)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        route = self._routes.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if route is None:
            return self._flask(environ, start_response)
        return respond(self._gate.answer(route, environ), start_response)


def respond(answer: Answer, start_response: StartResponse) -> Iterable[bytes]:
    """An answer as WSGI: a list with one item, or the stream's own frames."""
    if answer.frames is not None:
        start_response(STATUS_LINES[answer.status], list(answer.headers.items()))
        return answer.frames
    payload = encode(answer)
    headers = list(answer.headers.items())
    if payload and "Content-Type" not in answer.headers:
        headers.append(JSON_TYPE)
    headers.append(("Content-Length", str(len(payload))))
    start_response(STATUS_LINES[answer.status], headers)
    return [payload]


def encode(answer: Answer) -> bytes:
    """The body of an answer that is no stream."""
    if answer.raw is not None:
        return answer.raw
    return b"" if answer.content is None else compact_json(answer.content).encode()


def _view(gate: Gate, route: Route) -> Callable[..., Any]:
    """A Flask view function for a route; its answer is a WSGI application, which Flask accepts.

    Nothing has U+0000 in its name, and not every store can look for it.
    """

    def serve(**path: str) -> WSGIApplication:
        if any("\0" in value for value in path.values()):
            raise NotFound
        answer = gate.answer(route, request.environ, path)
        return lambda _environ, start_response: respond(answer, start_response)

    return serve


def _add(app: Flask, method: str, path: str, serve: Callable[..., Response]) -> None:
    name = f"{method} {path}"
    app.add_url_rule(path, name, serve, methods=[method], provide_automatic_options=False)


def _as_problem(error: Exception) -> errors.BusError:
    """Flask's own errors, and defects outside of endpoints, as errors of the bus."""
    if isinstance(error, NotFound):
        return errors.UnknownPathError(request.path)
    if isinstance(error, MethodNotAllowed):
        return errors.WrongMethodError(error.valid_methods or ())
    if isinstance(error, HTTPException) and (error.code or 500) < 500:  # noqa: PLR2004 - 4xx
        return errors.InvalidRequestError(f"{error.name}.")
    logger.error("A request failed", exc_info=error)
    return errors.InternalError()


def _response(answer: Answer) -> Response:
    response = Response(encode(answer), status=answer.status, content_type="application/json")
    response.headers.update(answer.headers)
    return response
