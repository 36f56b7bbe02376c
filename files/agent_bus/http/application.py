"""The WSGI application: fixed paths first, Flask for the rest.

Flask routes, reads and writes HTTP; the endpoints behind it know `Call` and `Answer` only.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from agent_bus.core import errors
from agent_bus.http import problem
from agent_bus.http.gate import FixedPaths, Gate, encode, view

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from agent_bus.http.call import Answer
    from agent_bus.http.route import Route

logger = logging.getLogger(__name__)


def application(table: list[Route], *, gate: Gate, refusals: Counter[str]) -> FixedPaths:
    """Serve every route of the table; what goes wrong on the way to one is a problem, too."""
    app = Flask("agent_bus", static_folder=None)
    app.url_map.strict_slashes = False
    for route in table:
        serve = view(gate, route, lambda: request.environ)
        for path in route.paths:
            _add(app, route.method, path, serve)

    def on_error(error: Exception) -> Response:
        told = _as_problem(error)
        refusals[told.code] += 1
        return _response(problem.answer(told))

    app.register_error_handler(Exception, on_error)
    return FixedPaths(app, gate, table)


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
