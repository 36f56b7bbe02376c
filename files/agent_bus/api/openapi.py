"""The OpenAPI 3.1 document, made from the routes and their models.

pydantic makes the schemas; this module lays out paths, parameters, answers and problems. The
committed copy is `docs/reference/openapi.json` (`python -m agent_bus openapi`).
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic.json_schema import models_json_schema

from agent_bus import __version__
from agent_bus.api.agents import Agents
from agent_bus.api.channels import routes as channel_routes
from agent_bus.api.channels.calls import ChannelCalls
from agent_bus.api.guards import routes as guard_routes
from agent_bus.api.guards import wake_routes
from agent_bus.api.guards.rights import RightsCalls
from agent_bus.api.guards.storms import StormCalls
from agent_bus.api.guards.wakes import WakeCalls
from agent_bus.api.health import Health
from agent_bus.api.hubs import Hubs
from agent_bus.api.messages import Messages
from agent_bus.api.models import responses
from agent_bus.api.operator import Operator
from agent_bus.api.reports import Reports
from agent_bus.api.routes import routes
from agent_bus.api.stream import Streams
from agent_bus.api.webhooks import routes as webhook_routes
from agent_bus.api.webhooks.calls import WebhookCalls
from agent_bus.core import errors
from agent_bus.http import problem
from agent_bus.http.call import Answer, Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import BaseModel

    from agent_bus.http.route import Route

TEMPLATE: Final = "#/components/schemas/{model}"
VARIABLE: Final = re.compile(r"<(\w+)>")
PATH_PARAMETERS: Final = {
    "message_id": ("Id of a message.", {"type": "string"}),
    "name": ("Name of an agent.", {"type": "string"}),
    "webhook": ("Name of a webhook.", {"type": "string"}),
    "channel": ("Name of a channel of the operator's.", {"type": "string"}),
}
ALWAYS: Final = (errors.InvalidRequestError, errors.InternalError, errors.NotReadyError)
WITH_TOKEN: Final = (errors.UnauthenticatedError, errors.AuthThrottledError)
DESCRIPTION: Final = """\
Any agent messages any other by name; what was answered 201 is synced to the disk.

Every refusal is `application/problem+json` with a stable `code`; what each code means stands in
the problems page. An unknown path is 404 `not_found`, a wrong method 405 `method_not_allowed`,
plain HTTP to a hub with TLS 503 `tls_required`.
Paths with `x-unprefixed` also answer without `/api`."""


@cache
def document() -> dict[str, Any]:
    """The whole document; the same for every hub of this version."""
    described = table()
    models = sorted(
        {model for route in described for model in _models(route)} | {responses.Problem},
        key=lambda model: model.__name__,
    )
    _, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=TEMPLATE
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        path = VARIABLE.sub(r"{\1}", route.paths[0])
        paths.setdefault(path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Agent bus",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A node's token acts for that node's agents; the admin token "
                    "for `operator` and the fleet.",
                }
            },
        },
    }


def as_text() -> str:
    """The document as it is committed."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def endpoint() -> Callable[[Call], Answer]:
    """An endpoint that answers the document."""
    return lambda _call: Answer(200, document())


def problems_of(route: Route) -> dict[int, list[type[errors.BusError]]]:
    """All problems that a call can answer, by status."""
    found: list[type[errors.BusError]] = [*ALWAYS, *route.problems]
    if route.access != "open":
        found += WITH_TOKEN
        found.append(errors.TooLargeError)
    by_status: dict[int, list[type[errors.BusError]]] = {}
    for error in sorted(set(found), key=lambda error: (error.status, error.code)):
        by_status.setdefault(error.status, []).append(error)
    return by_status


def table() -> list[Route]:
    """The routes with unbound endpoints: only what is described is read of them."""
    found = routes(
        messages=cast("Messages", Messages),
        agents=cast("Agents", Agents),
        reports=cast("Reports", Reports),
        operator=cast("Operator", Operator),
        streams=cast("Streams", Streams),
        health=cast("Health", Health),
        hubs=cast("Hubs", Hubs),
        document=endpoint(),
        metrics=endpoint(),
    )
    return [
        *found,
        *webhook_routes.routes(cast("WebhookCalls", WebhookCalls)),
        *wake_routes.routes(cast("WakeCalls", WakeCalls)),
        *channel_routes.routes(cast("ChannelCalls", ChannelCalls)),
        *guard_routes.routes(cast("RightsCalls", RightsCalls), cast("StormCalls", StormCalls)),
    ]


def _models(route: Route) -> Iterable[type[BaseModel]]:
    events = (route.events or {}).values()
    return (model for model in (route.endpoint.body, route.answer, *events) if model is not None)


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method} {route.path}",
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_headers(route)],
        "responses": {
            str(route.status): _success(route),
            **{str(status): _refusal(found) for status, found in problems_of(route).items()},
        },
        "security": [] if route.access == "open" else [{"token": []}],
    }
    if route.description or route.access == "admin":
        admin = "Admin token only." if route.access == "admin" else ""
        operation["description"] = f"{route.description} {admin}".strip()
    if route.endpoint.body is not None:
        operation["requestBody"] = {
            "required": not route.endpoint.body_is_optional,
            "content": {"application/json": {"schema": _reference(route.endpoint.body)}},
        }
    if route.unprefixed:
        operation["x-unprefixed"] = route.path
    for status in route.other_statuses:
        assert route.answer is not None
        operation["responses"][str(status)]["content"][route.media_type] = {
            "schema": _reference(route.answer)
        }
    return operation


def _success(route: Route) -> dict[str, Any]:
    if route.events is not None:
        types = "\n".join(
            f"- `{name}`: {(model.__doc__ or '').splitlines()[0]}"
            for name, model in route.events.items()
        )
        return {
            "description": f"Events until `bye`. Types (`message` events carry no name):\n{types}",
            "content": {route.media_type: {"schema": {"type": "string"}}},
            "x-events": {name: _reference(model) for name, model in route.events.items()},
        }
    if route.status == 204:  # noqa: PLR2004 - No Content
        return {"description": "Taken."}
    other = {"type": "object"} if route.media_type == "application/json" else {"type": "string"}
    schema = other if route.answer is None else _reference(route.answer)
    words = "As asked for." if route.answer is None else (route.answer.__doc__ or "").strip()
    return {
        "description": words.splitlines()[0],
        "content": {route.media_type: {"schema": schema}},
    }


def _refusal(found: list[type[errors.BusError]]) -> dict[str, Any]:
    codes = [error.code for error in found]
    answer: dict[str, Any] = {
        "description": "\n".join(
            f"- `{error.code}`: {(error.__doc__ or '').splitlines()[0]}" for error in found
        ),
        "content": {
            problem.MEDIA_TYPE: {
                "schema": {
                    "allOf": [_reference(responses.Problem)],
                    "properties": {"code": {"enum": codes}},
                }
            }
        },
    }
    if any(error.status in {429, 503, 507} for error in found):
        answer["headers"] = {
            "Retry-After": {
                "description": "Seconds, where the time is known.",
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    return answer


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_PARAMETERS[name][0],
            "schema": PATH_PARAMETERS[name][1],
        }
        for name in VARIABLE.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.endpoint.query is None:
        return []
    described = route.endpoint.query.model_json_schema(ref_template=TEMPLATE)
    return [
        _query_parameter(name, dict(schema))
        for name, schema in described.get("properties", {}).items()
    ]


def _query_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not required; a null default only says that it may be left out."""
    schema.pop("title", None)
    words = schema.pop("description", None)
    options = [option for option in schema.pop("anyOf", []) if option.get("type") != "null"]
    if options:
        schema = {**options[0], **schema}
    if schema.get("default", 0) is None:
        del schema["default"]
    if isinstance(schema.get("default"), bool):
        schema["default"] = "1" if schema["default"] else "0"
    found = {"name": name, "in": "query", "required": False, "schema": schema}
    return found if words is None else {**found, "description": words}


def _headers(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": header.name,
            "in": "header",
            "required": False,
            "description": header.words,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }
        for header in route.headers
        if header.words
    ]


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": TEMPLATE.format(model=model.__name__)}
