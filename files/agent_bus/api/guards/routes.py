"""The routes of the guards; see `api/routes.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.api.models import fleet, requests
from agent_bus.core import errors
from agent_bus.http.endpoint import with_query
from agent_bus.http.route import Route

if TYPE_CHECKING:
    from agent_bus.api.guards.rights import RightsCalls


def routes(rights: RightsCalls) -> list[Route]:
    """All of them are the operator's."""
    return [
        Route(
            "GET",
            "/rights",
            with_query(requests.RightsQuery, rights.read),
            "Who may write to whom",
            "The rules of the inventory (`message_rights`), and what they mean for each agent.",
            answer=fleet.RightsAnswer,
            problems=(errors.ForbiddenError, errors.UnknownAgentError),
            access="admin",
        ),
    ]
