"""The routes of the guards; see `api/routes.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.api.models import fleet, requests
from agent_bus.api.models.storms import ReleaseAnswer, ReleaseBody, StormsAnswer
from agent_bus.core import errors
from agent_bus.http.endpoint import bare, with_body, with_query
from agent_bus.http.route import Action, Route

if TYPE_CHECKING:
    from agent_bus.api.guards.rights import RightsCalls
    from agent_bus.api.guards.storms import StormCalls

RELEASE: Final = Action("release", keeps=("key",))


def routes(rights: RightsCalls, storms: StormCalls) -> list[Route]:
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
        Route(
            "GET",
            "/storms",
            bare(storms.read),
            "Which threads and pairs are damped or held",
            "Agents that only keep each other busy: what is damped wakes them now and then, what "
            "is held never, until the operator says a word.",
            answer=StormsAnswer,
            problems=(errors.ForbiddenError,),
            access="admin",
        ),
        Route(
            "POST",
            "/storms/release",
            with_body(ReleaseBody, storms.release),
            "Let a storm go on",
            "Its deliveries wake their agents, and it is counted anew.",
            answer=ReleaseAnswer,
            problems=(
                errors.ForbiddenError,
                errors.UnknownStormError,
                errors.CommitUnknownError,
                errors.NoPrimaryError,
                errors.DiskFullError,
            ),
            access="admin",
            action=RELEASE,
        ),
    ]
