"""The stream thread: stays connected to a hub and passes each event on once.

It decides only about the connection: which hub, resuming, backoff, duplicates. What an event means
is decided by the main loop, which reads the queue.
"""

from __future__ import annotations

import json
import logging
import threading
import time

from agent_bus_client.api import ByeReason, StreamEvent
from agent_bus_client.errors import (
    ClientError,
    HubRefusedError,
    HubUnreachableError,
    StreamError,
)
from agent_bus_client.hub.choice import Choice
from agent_bus_client.hub.cursor import Cursor, is_repeated, parse_event_id
from agent_bus_client.hub.hubs import ANSWER_S
from agent_bus_client.hub.transport import OPEN_TIMEOUT_S
from agent_bus_client.net.backoff import LONG_CAP_S
from agent_bus_client.record import Record
from agent_bus_client.watcher.way_back import WayBack
from agent_bus_mcp.words.terms import Stamp

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Optional

    from agent_bus_client.hub import sse
    from agent_bus_client.hub.hubs import Hubs
    from agent_bus_client.hub.stream import Stream
    from agent_bus_client.hub.transport import HubClient

logger = logging.getLogger(__name__)

DENIED_RETRY_S = 60.0  # a wrong token stays wrong until Ansible runs
NEEDED = ("id", "seq", "to_agent", Stamp.READ.value)  # what the watcher needs of a message
MAYBE = "wake"  # only with a message that wakes nobody now
SUPERSEDED_RETRY_S = 30.0  # two watchers of one node must not keep replacing each other


class Received(Record):
    """An event of the stream; `at` (monotonic) is when its last byte was read."""

    at: float
    type: str
    facts: dict[str, Any]
    cursor: Optional[tuple[str, int]] = None


class Disconnected(Record):
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
        hubs: where to connect; `current` becomes the hub that the stream is on.
        cursor: where to resume; None for all unread messages.
        put: takes `Received` and `Disconnected`; must not block.
    """

    def __init__(self, hubs: Hubs, cursor: Cursor | None, put: Callable[[object], None]) -> None:
        super().__init__(name="stream", daemon=True)
        self._hubs = hubs
        self._put = put
        self._resume = cursor.event_id if cursor else None
        self._seen: Optional[tuple[str, int]] = None
        self._choice = Choice(len(hubs.clients))
        self._stopping = threading.Event()
        self._stream: Optional[Stream] = None

    def run(self) -> None:
        """Connect, read and wait, again and again."""
        while not self._stopping.is_set():
            try:
                wait_s = self._connect_once()
            except HubRefusedError as error:
                wait_s = self._choice.failed(self._refused(error))
            except StreamError as error:  # the same event will come again
                self._lost(str(error))
                wait_s = self._choice.failed(LONG_CAP_S)
            except ClientError as error:
                self._lost(str(error))
                wait_s = self._choice.failed(self._choice.backoff.next_delay_s())
            except Exception as error:
                logger.exception("stream thread failed on an event, reconnecting")
                self._put(Disconnected(repr(error)))
                wait_s = self._choice.failed(LONG_CAP_S)
            self._stopping.wait(wait_s)

    def stop(self) -> None:
        """End the stream and the thread; callable from any thread."""
        self._stopping.set()
        stream = self._stream
        if stream is not None:
            stream.close()

    def _connect_once(self) -> float:
        """Read one stream to its end; return how long to wait before the next one.

        Where the stream moves back to a hub before the current one, that is no end.
        """
        stream = self._open_at(self._choice.current)
        self._hubs.use(self._hub)
        while True:
            self._stream = stream
            way_back = self._way_back(stream)
            bye: Optional[sse.Event] = None
            failure: Optional[HubUnreachableError] = None
            try:
                bye = self._read(stream)
            except HubUnreachableError as error:
                failure = error
            finally:
                self._stream = None
                stream.close()
                self._choice.backoff.connected_for(time.monotonic() - stream.opened_at)
                moved = way_back.end() if way_back else None
            if moved is None:
                return self._wait_after(bye, failure)
            stream = moved.stream
            self._choice.returned(moved.number)
            self._hubs.use(self._hub)
            logger.info("stream moved back", extra={"hub": self._hub.url})
            self._put(Disconnected("moving back", is_renewal=True))

    @property
    def _hub(self) -> HubClient:
        """The hub that the stream is on, or is opened at."""
        return self._hubs.clients[self._choice.current]

    def _open_at(self, number: int) -> Stream:
        """Open a stream at this hub.

        Raises:
            ClientError: see `HubClient.open_stream`.
        """
        connect_s = self._choice.connect_s
        return self._hubs.clients[number].open_stream(
            {"role": "watcher"},
            last_event_id=self._resume,
            timeout_s=OPEN_TIMEOUT_S if connect_s is None else ANSWER_S,
            connect_s=connect_s,
        )

    def _open_back_at(self, number: int) -> Stream:
        """Open a stream at this hub if it is ready: one without its database ends it at once.

        Raises:
            ClientError: see `HubClient.open_stream`.
        """
        connect_s = self._choice.connect_s
        self._hubs.clients[number].call("GET", "/readyz", connect_s=connect_s)
        return self._open_at(number)

    def _way_back(self, stream: Stream) -> WayBack | None:
        """Return what tries the hubs before the current one; None at the node's first hub."""
        if self._choice.current == 0:
            return None
        way_back = WayBack(
            self._choice,
            open_at=self._open_back_at,
            leave=stream.close,
            still_away=lambda: self._hubs.use(self._hubs.current),
        )
        way_back.start()
        return way_back

    def _read(self, stream: Stream) -> sse.Event | None:
        """Pass the events of a stream on; return its `bye`, None if it ended without.

        Raises:
            HubUnreachableError, StreamError: see `Stream.events`.
        """
        if self._stopping.is_set():
            return None
        for event in stream.events():
            self._pass_on(event, stream)
            self._resume = event.event_id or self._resume
            if event.type == StreamEvent.BYE:
                return event  # nothing follows it, and how the connection ends does not matter
        return None

    def _wait_after(self, bye: sse.Event | None, failure: HubUnreachableError | None) -> float:
        """Return how long to wait after a stream has ended, and choose the next hub."""
        reason: Optional[str] = str(json.loads(bye.data).get("reason")) if bye else None
        is_renewal = reason == ByeReason.LIFETIME
        self._lost(
            str(failure) if failure else reason or "the hub ended the stream",
            is_renewal=is_renewal,
        )
        if reason == ByeReason.SUPERSEDED:
            logger.error(
                "another watcher of this node connected; is one running on another machine?"
            )
            return self._choice.wait_everywhere(SUPERSEDED_RETRY_S)
        if reason == ByeReason.REVOKED:
            return self._choice.failed(DENIED_RETRY_S)
        if bye is None or bye.retry_ms is None:
            delay_s = self._choice.backoff.next_delay_s()
        else:
            delay_s = self._choice.backoff.planned_delay_s(bye.retry_ms / 1000)
        return delay_s if is_renewal else self._choice.failed(delay_s, had_stream=True)

    def _pass_on(self, event: sse.Event, stream: Stream) -> None:
        at = time.monotonic()
        facts: dict[str, Any] = json.loads(event.data)
        if event.type == StreamEvent.MESSAGE:
            place = parse_event_id(event.event_id)
            if is_repeated(place, self._seen):
                return
            self._seen = place or self._seen
            needed = {
                name: facts[name] for name in NEEDED
            }  # the bodies of a backlog must not pile up
            if MAYBE in facts:
                needed[MAYBE] = facts[MAYBE]
            self._put(Received(at, event.type, needed, place))
            return
        if event.type == StreamEvent.HELLO:
            stream.keepalive_s = float(facts["keepalive_s"])
            cap_s = facts.get("reconnect_cap_s")  # a hub before 0.2 does not say it
            self._choice.connected(retry_ms=event.retry_ms, cap_s=cap_s)
        elif event.type == StreamEvent.RESET:
            self._seen = None
        self._put(Received(at, event.type, facts))

    def _refused(self, error: HubRefusedError) -> float:
        self._put(Disconnected(str(error)))
        if error.status in {401, 403}:
            logger.error(
                "hub does not accept this node's token: run the site playbook for this node",
                extra={"hub": self._hub.url, "reason": str(error)},
            )
            return DENIED_RETRY_S
        logger.warning("hub refused the stream", extra={"reason": str(error)})
        return self._choice.backoff.next_delay_s(error.retry_after_s)

    def _lost(self, reason: str, *, is_renewal: bool = False) -> None:
        if not self._stopping.is_set():
            logger.warning("stream ended", extra={"hub": self._hub.url, "reason": reason})
            self._put(Disconnected(reason, is_renewal))
