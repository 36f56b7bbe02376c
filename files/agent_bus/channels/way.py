"""The way of a channel: what is due becomes one notification, or waits for its time."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final

from agent_bus.channels import words
from agent_bus.channels.teller import Item
from agent_bus.core.limits import RateLimiter
from agent_bus.core.model import PRIORITIES, rfc3339
from agent_bus.webhooks import payload
from agent_bus.webhooks.courier import Tried
from agent_bus.webhooks.schedule import AWAY, HELD, UNWANTED, Attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.channel_settings import Channel
    from agent_bus.channels.teller import Teller
    from agent_bus.channels.words import Notification
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import Message, MessageId
    from agent_bus.store.outgoing import Waiting
    from agent_bus.webhooks.post import Receiver

logger = logging.getLogger(__name__)

GATHER_MS: Final = 2_000
"""What comes within this time shares a notification: a person does not notice it."""
BURST: Final = 3
"""Notifications at once after a quiet time; then one per EVERY_S, with all that came meanwhile.
Telegram refuses more than 20 per minute to a group, and a person reads no faster."""
EVERY_S: Final = 30.0
LOOK_AGAIN_S: Final = 3600.0
"""What is held longer is looked at again after this time: somebody may have set the clock."""
LINKS_KEPT: Final = 100
"""Messages whose links are remembered; a notification names ten at most."""
TYPE: Final = "operator.notification"
TEST: Final = words.Notification(
    "Test of a channel of agent-bus", "If you read this, the operator's channel works."
)


class ChannelWay:
    """How one channel tells; its courier alone calls `post`.

    Args:
        receiver: of a signed webhook; all others go by the teller.
        link: where the operator reads a message, or answers it.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        teller: Teller,
        receiver: Receiver | None,
        link: Callable[[Message], str | None],
        clock: Clock,
    ) -> None:
        self._channel = channel
        self._times = channel.times
        self._teller = teller
        self._receiver = receiver
        self._link = link
        self._links: dict[MessageId, str | None] = {}
        self._clock = clock
        self._rate = RateLimiter(per_s=1 / EVERY_S, burst=BURST, clock=clock)

    def post(self, events: Sequence[Waiting]) -> list[Tried]:
        """Tell what is due by one notification; answers what became of each event."""
        now = self._clock.now_ms()
        found: list[Tried] = []
        ready: list[Waiting] = []
        for event in events:
            passed_over = self._passed_over(event, now)
            if passed_over is None:
                ready.append(event)
            else:
                found.append(Tried(event, passed_over))
        if ready:
            wait_s = self._rate.take(self._channel.name)
            attempt = Attempt(HELD, "", max(wait_s, 1.0)) if wait_s else self._tell_safely(ready)
            found += [Tried(event, attempt) for event in ready]
        return found

    def test(self) -> Attempt:
        """Send a notification that tells of nothing, and wait for what comes of it."""
        return self._send(TEST, f"test_{self._clock.now_ms()}", self._clock.now_ms(), ())

    def close(self) -> None:
        """Drop the connection."""
        if self._receiver is not None:
            self._receiver.close()

    def _passed_over(self, event: Waiting, now: int) -> Attempt | None:
        """Why an event is not told now; None: it is."""
        delivery, m = event.delivery, event.delivery.message
        priority = PRIORITIES[m.rank]
        is_over = (
            delivery.read_at is not None
            or delivery.expired_at is not None
            or (m.expires_at is not None and m.expires_at <= now)
        )
        if is_over or priority not in self._channel.priorities:
            return Attempt(UNWANTED, "")
        at = self._times.release_at(event.at, now, priority)
        at = max(at, min(event.at, now) + GATHER_MS)
        return Attempt(HELD, "", min((at - now) / 1000, LOOK_AGAIN_S)) if at > now else None

    def _tell_safely(self, events: Sequence[Waiting]) -> Attempt:
        try:
            said = words.notification(events, with_body=self._channel.body, link=self._link_of)
            return self._send(said, _event_id(events), max(one.at for one in events), events)
        except Exception as error:  # or these events would hold up all others
            logger.exception("Channel %s could not be told", self._channel.name)
            return Attempt(AWAY, f"the hub failed: {type(error).__name__}")

    def _link_of(self, message: Message) -> str | None:
        """Where a message is read or answered: at each try of a notification the same."""
        if message.id not in self._links:
            if len(self._links) == LINKS_KEPT:
                del self._links[next(iter(self._links))]
            self._links[message.id] = self._link(message)
        return self._links[message.id]

    def _send(
        self, said: Notification, event_id: str, at: int, events: Sequence[Waiting]
    ) -> Attempt:
        if self._receiver is None:
            return self._teller.tell(Item(self._channel.url, said.title, said.text))
        told = {
            "channel": self._channel.name,
            "title": said.title,
            "text": said.text,
            "messages": [_entry(one) for one in events],
        }
        body = payload.encoded(TYPE, at, told)
        return self._receiver.post(f"{self._channel.queue_name}_{event_id}", body)


def _event_id(events: Sequence[Waiting]) -> str:
    """Names what a notification tells of: the same deliveries have the same one."""
    keys = sorted(one.delivery.message.id for one in events)
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:24]


def _entry(event: Waiting) -> dict[str, object]:
    m = event.delivery.message
    return {
        "id": m.id,
        "thread_id": m.thread_id,
        "from_agent": m.sender,
        "to_agent": event.delivery.agent,
        "priority": PRIORITIES[m.rank],
        "subject": m.subject,
        "created_at": rfc3339(m.created_at),
    }
