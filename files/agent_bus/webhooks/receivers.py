"""The way of a webhook's events: each is one signed request, a few of them at once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from agent_bus.runtime import greenlets
from agent_bus.webhooks import payload
from agent_bus.webhooks.courier import Tried
from agent_bus.webhooks.schedule import AWAY, GONE, REFUSED, Attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.store.outgoing import Waiting
    from agent_bus.webhook_settings import Webhook
    from agent_bus.webhooks.post import Receiver

logger = logging.getLogger(__name__)

AT_ONCE: Final = 4
"""Requests at once to one receiver; events of one agent go one after the other."""


class Receivers:
    """A webhook's way.

    Args:
        receivers: the ways to the receiver, each for one greenlet at a time.
    """

    def __init__(self, webhook: Webhook, receivers: Sequence[Receiver]) -> None:
        self._webhook = webhook
        self._receivers = receivers

    def post(self, events: Sequence[Waiting]) -> list[Tried]:
        """Post events; those of one agent in their order, the first failure ends its part."""
        parts: list[list[Waiting]] = [[] for _ in self._receivers]
        places: dict[str, int] = {}
        for event in events:
            agent = event.delivery.agent
            place = places.setdefault(agent, len(places) % len(parts))
            parts[place].append(event)
        works = [
            lambda receiver=receiver, part=part: self._post_part(receiver, part)
            for receiver, part in zip(self._receivers, parts, strict=True)
            if part
        ]
        return [tried for part in greenlets.all_of(works) for tried in part]

    def _post_part(self, receiver: Receiver, part: Sequence[Waiting]) -> list[Tried]:
        found: list[Tried] = []
        for event in part:
            attempt = self._attempt(receiver, event)
            found.append(Tried(event, attempt))
            if attempt.verdict in {AWAY, GONE}:
                break  # what follows would most likely fail as well; it is taken again
        return found

    def _attempt(self, receiver: Receiver, event: Waiting) -> Attempt:
        webhook = self._webhook
        try:
            body = payload.body(event, with_body=webhook.body)
            return receiver.post(payload.event_id(webhook.name, event), body)
        except Exception as error:  # or this one event would hold up all others
            logger.exception("An event of webhook %s could not be told", webhook.name)
            return Attempt(REFUSED, f"the hub failed: {type(error).__name__}")

    def close(self) -> None:
        """Drop the connections."""
        for receiver in self._receivers:
            receiver.close()
