"""What tells receivers elsewhere, given what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_bus import channel_settings
from agent_bus.api.channels import routes as channel_table
from agent_bus.api.channels.calls import ChannelCalls
from agent_bus.api.webhooks import routes
from agent_bus.api.webhooks.calls import WebhookCalls
from agent_bus.bus.guards.ladder import Ladder
from agent_bus.channels.channels import Channels
from agent_bus.webhook_settings import load_signed
from agent_bus.webhooks.webhooks import Webhooks

if TYPE_CHECKING:
    from agent_bus.app.assembly import Core
    from agent_bus.http.route import Route
    from agent_bus.settings import Settings


@dataclass(frozen=True, slots=True)
class Outward:
    """What tells the operator, receivers elsewhere, and others of urgent mail that is unread."""

    channels: Channels
    webhooks: Webhooks
    ladder: Ladder

    def start(self) -> None:
        """Begin to tell; returns at once."""
        self.webhooks.start()
        self.ladder.start()


def build_outward(settings: Settings, core: Core) -> Outward:
    """All of them; channels and webhooks share one queue."""
    channels = Channels(
        channel_settings.load(settings.channels_file),
        outgoing=core.outgoing,
        clock=core.clock,
        leads=core.cluster.leads,
        page_url=settings.people_url,
        links=core.questions.link_for,
    )
    webhooks = Webhooks(
        load_signed(settings.webhooks_file),
        outgoing=core.outgoing,
        directory=core.directory,
        clock=core.clock,
        leads=core.cluster.leads,
        others=channels.destinations,
    )
    return Outward(channels, webhooks, build_ladder(core))


def build_ladder(core: Core) -> Ladder:
    """What tells others of urgent mail that stays unread."""
    return Ladder(
        pending=core.pending,
        notices=core.notices,
        directory=core.directory,
        counters=core.counters,
        gate=core.gate,
        clock=core.clock,
        leads=core.cluster.leads,
    )


def outward_routes(core: Core, tells: Outward) -> list[Route]:
    """The operator's calls about webhooks and channels."""
    return [
        *routes.routes(WebhookCalls(webhooks=tells.webhooks, clock=core.clock)),
        *channel_table.routes(ChannelCalls(channels=tells.channels, clock=core.clock)),
    ]
