"""The routes of channels; see `api/routes.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.api.models.channels import ChannelsAnswer, ChannelTestAnswer
from agent_bus.core import errors
from agent_bus.http.endpoint import bare
from agent_bus.http.route import Action, Route

if TYPE_CHECKING:
    from agent_bus.api.channels.calls import ChannelCalls


def routes(channels: ChannelCalls) -> list[Route]:
    """All of them are the operator's."""
    return [
        Route(
            "GET",
            "/channels",
            bare(channels.read),
            "List the operator's channels",
            "What waits for each, until when, and how its last attempts went.",
            answer=ChannelsAnswer,
            problems=(errors.ForbiddenError,),
            access="admin",
        ),
        Route(
            "POST",
            "/channels/<channel>/test",
            bare(channels.test),
            "Send a test notification by a channel",
            "This hub sends it once, now, and answers after at most 30 s.",
            answer=ChannelTestAnswer,
            problems=(errors.ForbiddenError, errors.UnknownChannelError),
            access="admin",
            action=Action("channel_test"),
        ),
    ]
