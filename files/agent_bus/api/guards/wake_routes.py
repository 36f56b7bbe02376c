"""The routes of pauses and of the count of wakes; see `api/routes.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.api.models import wakes as models
from agent_bus.core import errors
from agent_bus.http.endpoint import bare, with_body, with_query
from agent_bus.http.route import Action, Route

if TYPE_CHECKING:
    from agent_bus.api.guards.wakes import WakeCalls

PAUSE: Final = Action("pause")
RESUME: Final = Action("resume")


def routes(wakes: WakeCalls) -> list[Route]:
    """All of them are the operator's."""
    writes = (errors.CommitUnknownError, errors.NoPrimaryError, errors.DiskFullError)
    return [
        Route(
            "GET",
            "/pauses",
            bare(wakes.read),
            "List what is paused, and who is held",
            "Pauses of agents, groups and the fleet; mutes are among them. `held` also has the "
            "agents that are over a budget.",
            answer=models.PausesAnswer,
            problems=(errors.ForbiddenError,),
            access="admin",
        ),
        Route(
            "POST",
            "/pauses",
            with_body(models.PauseBody, wakes.pause),
            "Pause an agent, a group or the fleet",
            "Its mail goes on; nobody of it is woken, not even for urgent mail. It survives "
            "restarts and takeovers, and replaces a pause of the same name.",
            answer=models.PauseEntry,
            problems=(errors.ForbiddenError, errors.UnknownAgentError, *writes),
            access="admin",
            action=PAUSE,
        ),
        Route(
            "POST",
            "/pauses/end",
            with_body(models.ResumeBody, wakes.resume),
            "End a pause",
            "Agents with mail are woken at once, unless something else holds them. Ending a pause "
            "that there is not does nothing.",
            answer=models.ResumeAnswer,
            problems=(errors.ForbiddenError, errors.UnknownAgentError, *writes),
            access="admin",
            action=RESUME,
        ),
        Route(
            "GET",
            "/wakes",
            with_query(models.WakesQuery, wakes.wakes),
            "Budgets, and wakes by agent and day",
            "Wakes that a gateway accepted and that began a turn, and who caused them.",
            answer=models.WakesAnswer,
            problems=(errors.ForbiddenError,),
            access="admin",
        ),
    ]
