"""`/api/channels`: how the operator's channels fare, and a test of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_bus.core.model import rfc3339
from agent_bus.http.call import Answer, Call
from agent_bus.webhooks.schedule import DELIVERED

if TYPE_CHECKING:
    from agent_bus.channels.channels import Channels, ChannelState
    from agent_bus.core.clock import Clock


class ChannelCalls:
    """The endpoints, with what they need."""

    def __init__(self, *, channels: Channels, clock: Clock) -> None:
        self._channels = channels
        self._clock = clock

    def read(self, _call: Call) -> Answer:
        """All channels."""
        return Answer(200, {"channels": [self._entry(one) for one in self._channels.states()]})

    def test(self, call: Call) -> Answer:
        """Send a notification as a test."""
        name = call.path["channel"]
        attempt = self._channels.test(name)
        is_ok = attempt.verdict == DELIVERED
        return Answer(200, {"channel": name, "ok": is_ok, "error": attempt.words or None})

    def _entry(self, state: ChannelState) -> dict[str, Any]:
        queue = state.queue
        oldest_at = queue.oldest_at
        steady = self._clock.steady_ms()
        return {
            "name": state.channel.name,
            "kind": state.channel.kind,
            "priorities": list(state.channel.priorities),
            "pending": queue.pending,
            "oldest_s": None if oldest_at is None else max(0, steady - oldest_at) / 1000,
            "delivered": queue.delivered,
            "dead": queue.dead,
            "dropped": queue.dropped,
            "failures": queue.failures,
            "held_by": state.held_by,
            "held_until": rfc3339(state.held_until),
            "disabled_at": rfc3339(queue.disabled_at),
            "last_success_at": rfc3339(queue.succeeded_at),
            "last_failure_at": rfc3339(queue.failed_at),
            "last_error": queue.error,
        }
