"""`/api/webhooks`: how the webhooks fare, and what an operator does about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_bus.core.model import rfc3339
from agent_bus.http.call import Answer, Call
from agent_bus.webhooks.schedule import DELIVERED

if TYPE_CHECKING:
    from agent_bus.core.clock import Clock
    from agent_bus.store.outgoing import WebhookState
    from agent_bus.webhooks.webhooks import Webhooks


class WebhookCalls:
    """The endpoints, with what they need."""

    def __init__(self, *, webhooks: Webhooks, clock: Clock) -> None:
        self._webhooks = webhooks
        self._clock = clock

    def read(self, _call: Call) -> Answer:
        """All webhooks."""
        return Answer(200, {"webhooks": [self._entry(one) for one in self._webhooks.states()]})

    def retry(self, call: Call) -> Answer:
        """Let what waits for a webhook go out now."""
        name = call.path["webhook"]
        self._webhooks.retry(name)
        pending = next((s.pending for s in self._webhooks.states() if s.name == name), 0)
        return Answer(200, {"webhook": name, "pending": pending})

    def test(self, call: Call) -> Answer:
        """Send a signed test."""
        name = call.path["webhook"]
        attempt = self._webhooks.test(name)
        is_ok = attempt.verdict == DELIVERED
        return Answer(200, {"webhook": name, "ok": is_ok, "error": attempt.words or None})

    def _entry(self, state: WebhookState) -> dict[str, Any]:
        steady = self._clock.steady_ms()
        oldest_at = state.oldest_at
        signed = self._webhooks.signed(state.name)
        return {
            "name": state.name,
            "url": self._webhooks.url(state.name),
            "events": list(signed.webhook.events),
            "pending": state.pending,
            "oldest_s": None if oldest_at is None else max(0, steady - oldest_at) / 1000,
            "delivered": state.delivered,
            "dead": state.dead,
            "dropped": state.dropped,
            "secrets": len(signed.secrets),
            "failures": state.failures,
            "held_s": max(0, state.held_until - steady) / 1000,
            "disabled_at": rfc3339(state.disabled_at),
            "last_success_at": rfc3339(state.succeeded_at),
            "last_failure_at": rfc3339(state.failed_at),
            "last_error": state.error,
        }
