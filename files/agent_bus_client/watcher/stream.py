"""The stream thread: stays connected to the hub and passes each event on once.

It decides only about the connection: resuming, backoff, duplicates. What an event means is decided
by the main loop, which reads the queue.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from agent_bus_client.api import ByeReason, Stamp, StreamEvent
from agent_bus_client.errors import ClientError, HubRefusedError, StreamError
from agent_bus_client.hub.cursor import Cursor, is_repeated, parse_event_id
from agent_bus_client.net.backoff import LONG_CAP_S, Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus_client.hub import sse, transport

logger = logging.getLogger(__name__)

DENIED_RETRY_S = 60.0  # a wrong token stays wrong until Ansible runs
NEEDED = ("id", "seq", "to_agent", Stamp.READ.value)  # what the watcher needs of a message
SUPERSEDED_RETRY_S = 30.0  # two watchers of one node must not keep replacing each other


@dataclass(frozen=True)
class Received:
    """An event of the stream; `at` (monotonic) is when its last byte was read."""

    at: float
    type: str
    facts: dict[str, Any]
    cursor: Optional[tuple[str, int]] = None


@dataclass(frozen=True)
class Disconnected:
    """The stream ended or could not be opened.

    Attributes:
        reason: in words, for the status line.
        is_renewal: the hub ended it because it had lived its time; a new one follows at once.
    """

    reason: str
    is_renewal: bool = False


class StreamThread(threading.Thread):
    """Keeps one `role=watcher` stream open until `stop`.

    Args:
        hub: where to connect.
        cursor: where to resume; None for all unread messages.
        put: takes `Received` and `Disconnected`; must not block.
    """

    def __init__(
        self, hub: transport.HubClient, cursor: Cursor | None, put: Callable[[object], None]
    ) -> None:
        super().__init__(name="stream", daemon=True)
        self._hub = hub
        self._put = put
        self._resume = cursor.event_id if cursor else None
        self._seen: Optional[tuple[str, int]] = None
        self._backoff = Backoff()
        self._stopping = threading.Event()
        self._stream: Optional[transport.Stream] = None

    def run(self) -> None:
        """Connect, read and wait, again and again."""
        while not self._stopping.is_set():
            try:
                delay_s = self._connect_once()
            except HubRefusedError as error:
                delay_s = self._refused(error)
            except StreamError as error:  # the same event will come again
                delay_s = LONG_CAP_S
                self._lost(str(error))
            except ClientError as error:
                delay_s = self._backoff.next_delay_s()
                self._lost(str(error))
            except Exception as error:
                logger.exception("stream thread failed on an event, reconnecting")
                delay_s = LONG_CAP_S
                self._put(Disconnected(repr(error)))
            self._stopping.wait(delay_s)

    def stop(self) -> None:
        """End the stream and the thread; callable from any thread."""
        self._stopping.set()
        stream = self._stream
        if stream is not None:
            stream.close()

    def _connect_once(self) -> float:
        """Read one stream to its end; return how long to wait before the next one."""
        stream = self._hub.open_stream({"role": "watcher"}, last_event_id=self._resume)
        self._stream = stream
        reason: Optional[str] = None
        retry_ms: Optional[int] = None
        try:
            if self._stopping.is_set():
                return 0.0
            for event in stream.events():
                facts = self._pass_on(event, stream)
                self._resume = event.event_id or self._resume
                if event.type == StreamEvent.BYE:
                    reason, retry_ms = str(facts.get("reason")), event.retry_ms
                    break  # nothing follows it, and how the connection ends no longer matters
        finally:
            self._stream = None
            stream.close()
            self._backoff.connected_for(time.monotonic() - stream.opened_at)
        is_renewal = reason == ByeReason.LIFETIME
        self._lost(reason or "the hub ended the stream", is_renewal=is_renewal)
        return self._delay_after(reason, retry_ms)

    def _delay_after(self, reason: str | None, retry_ms: int | None) -> float:
        """Return how long to wait after a stream has ended; `reason` is that of its `bye`."""
        if reason == ByeReason.SUPERSEDED:
            logger.error(
                "another watcher of this node connected; is one running on another machine?"
            )
            return SUPERSEDED_RETRY_S
        if reason == ByeReason.REVOKED:
            return DENIED_RETRY_S
        if reason is None or retry_ms is None:
            return self._backoff.next_delay_s()
        return self._backoff.planned_delay_s(retry_ms / 1000)

    def _pass_on(self, event: sse.Event, stream: transport.Stream) -> dict[str, Any]:
        at = time.monotonic()
        facts: dict[str, Any] = json.loads(event.data)
        if event.type == StreamEvent.MESSAGE:
            place = parse_event_id(event.event_id)
            if is_repeated(place, self._seen):
                return facts
            self._seen = place or self._seen
            needed = {
                name: facts[name] for name in NEEDED
            }  # the bodies of a backlog must not pile up
            self._put(Received(at, event.type, needed, place))
            return facts
        if event.type == StreamEvent.HELLO:
            stream.keepalive_s = float(facts["keepalive_s"])
            cap_s = facts.get("reconnect_cap_s")  # a hub before 0.2 does not say it
            self._backoff.connected(retry_ms=event.retry_ms, cap_s=cap_s)
        elif event.type == StreamEvent.RESET:
            self._seen = None
        self._put(Received(at, event.type, facts))
        return facts

    def _refused(self, error: HubRefusedError) -> float:
        self._put(Disconnected(str(error)))
        if error.status in {401, 403}:
            logger.error(
                "hub does not accept this node's token: run the site playbook for this node",
                extra={"hub": self._hub.url, "reason": str(error)},
            )
            return DENIED_RETRY_S
        logger.warning("hub refused the stream", extra={"reason": str(error)})
        return self._backoff.next_delay_s(error.retry_after_s)

    def _lost(self, reason: str, *, is_renewal: bool = False) -> None:
        if not self._stopping.is_set():
            logger.warning("stream ended", extra={"hub": self._hub.url, "reason": reason})
            self._put(Disconnected(reason, is_renewal))
