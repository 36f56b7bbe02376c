"""The operator's channels: whom they tell of what, how they fare, and the way to use one by hand.

What they tell waits in the queue of what goes out (`webhooks/webhooks.py`), which is durable, and
which one hub of several works off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from agent_bus.channels.teller import Teller
from agent_bus.channels.way import ChannelWay
from agent_bus.core import alerts, errors, states
from agent_bus.core.model import OPERATOR
from agent_bus.runtime import greenlets
from agent_bus.webhooks import schedule
from agent_bus.webhooks.courier import Courier
from agent_bus.webhooks.post import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.channel_settings import Channel
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import AgentName, Message
    from agent_bus.core.states import WebhookEvent
    from agent_bus.store.outgoing import Outgoing, WebhookState
    from agent_bus.webhooks.schedule import Attempt

TAKEN: Final = 200
"""Messages that one notification can be about; ten of them are named."""

HeldBy = Literal["failures", "quiet_hours", "digest"]


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How a channel fares, and by what it is held until when (ms); None: by nothing."""

    channel: Channel
    queue: WebhookState
    held_by: HeldBy | None
    held_until: int | None


@dataclass(frozen=True, slots=True)
class _Destination:
    """A channel in the queue of what goes out."""

    channel: Channel
    way: ChannelWay
    courier: Courier

    @property
    def name(self) -> str:
        return self.channel.queue_name

    def wants(self, kind: WebhookEvent, agent: AgentName) -> bool:
        return kind == states.MESSAGE and agent == OPERATOR


class Channels:
    """The channels of a hub.

    Args:
        channels: those that the operator has set.
        leads: whether this hub is the one of several that tells.
        page_url: where the operator's browser reaches the hub; None: nobody has said it.
        links: where a message can be answered, if there is such a place; otherwise its page.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        outgoing: Outgoing,
        clock: Clock,
        leads: Callable[[], bool],
        page_url: str | None = None,
        links: Callable[[Message], str | None] = lambda _: None,
        teller: Teller | None = None,
    ) -> None:
        self._outgoing = outgoing
        self._clock = clock
        self._page_url = page_url
        self._links = links
        self._teller = teller or Teller()
        self._leads = leads
        self._destinations = {one.name: self._destination(one) for one in channels}

    @property
    def names(self) -> list[str]:
        """All channels by name."""
        return sorted(self._destinations)

    @property
    def destinations(self) -> list[_Destination]:
        """What the queue of what goes out has to know."""
        return list(self._destinations.values())

    def states(self) -> list[ChannelState]:
        """How each channel fares."""
        if not self._destinations:
            return []
        known = {one.name: one for one in self._outgoing.states()}
        return [
            self._state(one.channel, known[one.name])
            for _, one in sorted(self._destinations.items())
            if one.name in known
        ]

    def failures(self) -> dict[str, int]:
        """Attempts in a row that failed, by channel; many for one whose receiver said 410."""
        return {
            one.channel.name: max(
                one.queue.failures, alerts.CHANNEL_FAILURES if one.queue.disabled_at else 0
            )
            for one in self.states()
        }

    def channel(self, name: str) -> Channel:
        """A channel's settings.

        Raises:
            errors.UnknownChannelError: there is none of this name.
        """
        if name not in self._destinations:
            raise errors.UnknownChannelError(name, self.names)
        return self._destinations[name].channel

    def test(self, name: str) -> Attempt:
        """Send a notification that tells of nothing, from this hub, and wait for its end.

        If it is taken though the channel failed before, all that waits goes out now.
        """
        channel = self.channel(name)
        way = self._way(channel)
        attempt = way.test()
        way.close()
        if attempt.verdict == schedule.DELIVERED and self.failures().get(name):
            while self._outgoing.hasten(channel.queue_name):
                greenlets.sleep(0.01)
            self._destinations[name].courier.call()
        return attempt

    def close(self) -> None:
        """End what still speaks to a service; what it was about stays in the queue."""
        self._teller.close()

    def _destination(self, channel: Channel) -> _Destination:
        way = self._way(channel)
        courier = Courier(
            channel.queue_name,
            way,
            what=f"Channel {channel.name}",
            outgoing=self._outgoing,
            clock=self._clock,
            leads=self._leads,
            most=TAKEN,
            keeps_tellings=True,
            longest_delay_s=schedule.HOLD_S,
        )
        return _Destination(channel, way, courier)

    def _way(self, channel: Channel) -> ChannelWay:
        receiver = Receiver(channel.signed, clock=self._clock) if channel.is_signed else None
        return ChannelWay(
            channel, teller=self._teller, receiver=receiver, link=self._link, clock=self._clock
        )

    def _link(self, message: Message) -> str | None:
        found = self._links(message)
        if found is not None or self._page_url is None:
            return found
        return f"{self._page_url.rstrip('/')}/messages/{message.id}"

    def _state(self, channel: Channel, queue: WebhookState) -> ChannelState:
        now = self._clock.now_ms()
        times = channel.times
        held_ms = queue.held_until - self._clock.steady_ms()
        if held_ms > 0:
            return ChannelState(channel, queue, "failures", now + held_ms)
        if queue.pending and (until := times.quiet_until(now)) is not None:
            return ChannelState(channel, queue, "quiet_hours", until)
        if queue.pending and times.digest is not None:
            return ChannelState(channel, queue, "digest", times.next_slot(now))
        return ChannelState(channel, queue, None, None)
