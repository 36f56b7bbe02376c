"""What tells receivers elsewhere, given what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.api.webhooks import routes
from agent_bus.api.webhooks.calls import WebhookCalls
from agent_bus.webhook_settings import load_signed
from agent_bus.webhooks.webhooks import Webhooks

if TYPE_CHECKING:
    from agent_bus.app.assembly import Core
    from agent_bus.http.route import Route
    from agent_bus.settings import Settings


def build_webhooks(settings: Settings, core: Core) -> Webhooks:
    """What tells receivers elsewhere what happens."""
    return Webhooks(
        load_signed(settings.webhooks_file),
        outgoing=core.outgoing,
        directory=core.directory,
        clock=core.clock,
        leads=core.cluster.leads,
    )


def webhook_routes(core: Core, webhooks: Webhooks) -> list[Route]:
    """The operator's calls about webhooks."""
    return routes.routes(WebhookCalls(webhooks=webhooks, clock=core.clock))
