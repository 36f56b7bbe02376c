"""All webhooks of a hub: what is new is queued for them, and their couriers are called.

It observes the bus (see `bus/fanout.py: Observer`). A hub without webhooks has none of this.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from agent_bus.core import errors
from agent_bus.core.model import OPERATOR
from agent_bus.runtime import greenlets
from agent_bus.webhooks import payload
from agent_bus.webhooks.courier import Courier
from agent_bus.webhooks.post import Receiver
from agent_bus.webhooks.receivers import AT_ONCE, Receivers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.bus.directory import Directory
    from agent_bus.core.clock import Clock
    from agent_bus.core.model import Acked, AgentName, Sent, Stamp
    from agent_bus.core.states import WebhookEvent
    from agent_bus.store.outgoing import Outgoing, WebhookState
    from agent_bus.webhook_settings import Signed
    from agent_bus.webhooks.schedule import Attempt

logger = logging.getLogger(__name__)

GATHER_S: Final = 0.05
"""What happens within this time is queued by one commit."""
LOOK_S: Final = 1.0
"""How often the store is asked what is due: what other hubs' agents have read, what was hastened
by hand, and all that waited for a hub that is gone."""
QUEUE_EVENTS: Final = 100_000
"""Events that may wait for one webhook; at one per second that is more than a day."""


class Destination(Protocol):
    """Something else that events of the queue go to."""

    @property
    def name(self) -> str:
        """In the queue; no webhook can have it."""

    @property
    def courier(self) -> Courier:
        """What delivers."""

    def wants(self, kind: WebhookEvent, agent: AgentName) -> bool:
        """Whether an event of an agent concerns it; in the writer's thread, so it only reads."""


class Webhooks:
    """The webhooks of a hub, and the queue of all that goes out.

    Args:
        signed: those that the operator has set.
        others: what else the queue is for.
        leads: whether this hub is the one of several that delivers.
    """

    def __init__(
        self,
        signed: Sequence[Signed],
        *,
        outgoing: Outgoing,
        directory: Directory,
        clock: Clock,
        leads: Callable[[], bool],
        others: Sequence[Destination] = (),
        queue_events: int = QUEUE_EVENTS,
    ) -> None:
        self._signed = {one.webhook.name: one for one in signed}
        self._outgoing = outgoing
        self._directory = directory
        self._clock = clock
        self._leads = leads
        self._queue_events = queue_events
        self._is_new = greenlets.Event()
        self._couriers = {
            one.webhook.name: Courier(
                one.webhook.name,
                Receivers(one.webhook, [Receiver(one, clock=clock) for _ in range(AT_ONCE)]),
                what=f"Webhook {one.webhook.name}",
                outgoing=outgoing,
                clock=clock,
                leads=leads,
            )
            for one in signed
        }
        self._others = others
        self._couriers |= {one.name: one.courier for one in others}

    @property
    def names(self) -> list[str]:
        """All webhooks by name."""
        return sorted(self._signed)

    @property
    def observers(self) -> tuple[Webhooks, ...]:
        """This, if anything goes out: otherwise a send is not even noticed."""
        return (self,) if self._couriers else ()

    def start(self) -> None:
        """Begin; returns at once."""
        wanted = {kind for one in self._signed.values() for kind in one.webhook.events}
        self._outgoing.note(wanted)
        greenlets.spawn(self._begin)

    def _begin(self) -> None:
        """Let the store know what the queue is for, then go on with it."""
        while True:
            try:
                self._outgoing.adopt(sorted(self._couriers))
                break
            except errors.BusError as error:
                logger.warning("Webhooks cannot begin: %s", error.detail)
                greenlets.sleep(LOOK_S)
        if not self._couriers:
            return
        for courier in self._couriers.values():
            courier.start()
        greenlets.spawn(self._feed_forever)
        greenlets.spawn(self._look_forever)

    def states(self) -> list[WebhookState]:
        """How each webhook fares; those that this hub has."""
        if not self._signed:
            return []
        return [one for one in self._outgoing.states() if one.name in self._signed]

    def url(self, name: str) -> str:
        """Where a webhook goes, without its query: that may hold what only the receiver knows."""
        return self.signed(name).webhook.url.partition("?")[0]

    def signed(self, name: str) -> Signed:
        """A webhook with its secrets.

        Raises:
            errors.UnknownWebhookError: there is none of this name.
        """
        if name not in self._signed:
            raise errors.UnknownWebhookError(name, self.names)
        return self._signed[name]

    def retry(self, name: str) -> None:
        """Let all that waits for a webhook go out now, also after a 410."""
        self.signed(name)
        while self._outgoing.hasten(name):
            greenlets.sleep(0.01)
        self._couriers[name].call()

    def test(self, name: str) -> Attempt:
        """Send a signed event that tells of nothing, from this hub, and wait for its answer."""
        now = self._clock.now_ms()
        receiver = Receiver(self.signed(name), clock=self._clock)
        told: dict[str, object] = {"webhook": name}
        try:
            return receiver.post(f"{name}_test_{now}", payload.encoded(payload.TEST, now, told))
        finally:
            receiver.close()

    # As an observer of the bus

    @property
    def shows_all(self) -> bool:
        """Nothing."""
        return False

    def on_sent(self, _sent: Sent) -> None:
        """A message is durable."""
        self._is_new.set()

    def on_passed(self, _expires_at: int | None) -> None:
        """Another hub's message is durable."""
        self._is_new.set()

    def on_acked(self, _acked: Acked) -> None:
        """Deliveries were read."""
        self._is_new.set()

    def on_report(self, _stamp: Stamp) -> None:
        """A watcher's report: it is stored within a second, and looked at then."""

    # Greenlets

    def _feed_forever(self) -> None:
        while True:
            self._is_new.wait()
            self._is_new.clear()
            if self._leads():
                self._feed_safely()
            greenlets.sleep(GATHER_S)

    def _feed_safely(self) -> None:
        try:
            while self._feed():
                greenlets.sleep(0)
        except errors.BusError as error:
            logger.warning("Events for webhooks wait: %s", error.detail)
            self._is_new.set()
            greenlets.sleep(LOOK_S)
        except Exception:
            logger.exception("Events could not be queued for webhooks")
            greenlets.sleep(LOOK_S)

    def _feed(self) -> bool:
        fed = self._outgoing.feed(self._wanting, limit=self._queue_events)
        for name in fed.added:
            if name in self._couriers:
                self._couriers[name].call()
        return fed.has_more

    def _look_forever(self) -> None:
        led = False
        while True:
            leads = self._leads()
            if leads and not led:  # what another hub has left undone
                self._is_new.set()
            led = leads
            try:
                if leads:
                    self._look()
            except errors.BusError as error:
                logger.info("Webhooks could not be looked at: %s", error.detail)
            except Exception:
                logger.exception("Webhooks could not be looked at")
            greenlets.sleep(LOOK_S)

    def _look(self) -> None:
        if self._outgoing.has_stamps():
            self._is_new.set()
        for name in self._outgoing.due():
            if name in self._couriers:
                self._couriers[name].call()

    def _wanting(self, kind: WebhookEvent, agent: AgentName) -> Sequence[str]:
        """Which webhooks an event concerns; in the writer's thread, so it only reads."""
        groups = self._directory.roster.groups
        return [
            name
            for name, one in self._signed.items()
            if kind in one.webhook.events
            and (
                (one.webhook.fleet and agent != OPERATOR)
                or agent in one.webhook.agents
                or any(agent in groups.get(group, ()) for group in one.webhook.groups)
            )
        ] + [one.name for one in self._others if one.wants(kind, agent)]
