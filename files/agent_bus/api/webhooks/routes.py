"""The routes of webhooks; see `api/routes.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.api.models.webhooks import WebhookRetryAnswer, WebhooksAnswer, WebhookTestAnswer
from agent_bus.core import errors
from agent_bus.http.endpoint import bare
from agent_bus.http.route import Action, Route

if TYPE_CHECKING:
    from agent_bus.api.webhooks.calls import WebhookCalls


def routes(webhooks: WebhookCalls) -> list[Route]:
    """All of them are the operator's."""
    problems = (errors.ForbiddenError, errors.UnknownWebhookError)
    writes = (errors.CommitUnknownError, errors.NoPrimaryError, errors.DiskFullError)
    return [
        Route(
            "GET",
            "/webhooks",
            bare(webhooks.read),
            "List the webhooks",
            "What waits for each, and how its last attempts went.",
            answer=WebhooksAnswer,
            problems=(errors.ForbiddenError,),
            access="admin",
        ),
        Route(
            "POST",
            "/webhooks/<webhook>/retry",
            bare(webhooks.retry),
            "Deliver now what waits for a webhook",
            "Also enables a webhook whose receiver said 410.",
            answer=WebhookRetryAnswer,
            problems=(*problems, *writes),
            access="admin",
            action=Action("webhook_retry"),
        ),
        Route(
            "POST",
            "/webhooks/<webhook>/test",
            bare(webhooks.test),
            "Send a signed test to a webhook",
            "This hub sends it once, now, and answers after at most 15 s.",
            answer=WebhookTestAnswer,
            problems=problems,
            access="admin",
            action=Action("webhook_test"),
        ),
    ]
