"""Clients outside of the fleet: they send through random hubs with keys, and listen on streams.

They run in this process, on the control node, and suffer none of the faults. All of them have a
node's token. A sender repeats a message with the same key, each time at a hub chosen at random,
until one accepts it. A listener resumes by its cursor at the next hub when its stream ends.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
import uuid
from typing import TYPE_CHECKING

from agent_bus_client.errors import ClientError, HubRefusedError
from agent_bus_client.hub.transport import HubClient
from lab.faults.hubs.books import Failed, Heard, Sent, Turn
from lab.probe.running import until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_bus_client.hub.stream import Stream
    from lab.faults.hubs.books import Place
    from lab.faults.hubs.event_source import EventSource

EVERY_S = 0.5
"""Between two messages of one sender. Each hub grants it a third of 20 per second."""
SENDERS = 6
CONNECT_S = 1.0
ANSWER_S = 8.0
OPEN_S = 6.0
AGAIN_S = 0.2


class Notes:
    """What all clients note; lists are only appended to, so any thread may read them."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.failed: list[Failed] = []
        self.heard: list[Heard] = []
        self.turns: list[Turn] = []


class Sender(threading.Thread):
    """Sends as the agents of one node, to all agents in turn."""

    def __init__(
        self,
        number: int,
        place: Place,
        *,
        to: Sequence[str],
        hubs: Mapping[str, HubClient],
        seed: int,
    ) -> None:
        super().__init__(name=f"sender-{number}", daemon=True)
        self.is_idle = False
        self.may_send = threading.Event()
        self.is_over = False
        self._place = place
        self._hubs = hubs
        self._dice = random.Random(f"{seed}-{number}")  # noqa: S311 - which hub, not a secret
        self._to = itertools.cycle([*to[number % len(to) :], *to[: number % len(to)]])
        self._word = f"{self.name} {uuid.uuid4().hex[:6]}"
        self.notes = Notes()

    def run(self) -> None:
        """Send without end while it may."""
        for number in itertools.count(1):
            self.is_idle = not self.may_send.is_set()
            self.may_send.wait()
            if self.is_over:
                return
            self.is_idle = False
            began = time.monotonic()
            self._send(f"{self._word} {number}", next(self._to))
            time.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))

    def _send(self, body: str, to: str) -> None:
        sender = self._dice.choice([name for name in self._place.agents if name != to])
        request = {"from": sender, "to": to, "body": body}
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        for tries in itertools.count(1):
            hub = self._dice.choice(list(self._hubs))
            try:
                answer = self._hubs[hub].call(
                    "POST",
                    "/api/send",
                    body=request,
                    headers=headers,
                    timeout_s=ANSWER_S,
                    connect_s=CONNECT_S,
                )
            except HubRefusedError as error:
                refusal = Failed(hub, time.time(), error.status, error.problem)
                self.notes.failed.append(refusal)
            except ClientError as error:
                self.notes.failed.append(Failed(hub, time.time(), 0, str(error)))
            else:
                accepted = Sent(body, to, answer["id"], hub, time.time(), tries)
                self.notes.sent.append(accepted)
                return
            if self.is_over:
                return
            time.sleep(AGAIN_S)


class Listener(threading.Thread):
    """A subscriber of one node's agents whose first hub is `home`."""

    def __init__(self, place: Place, home: str, hubs: Mapping[str, HubClient]) -> None:
        super().__init__(name=f"{place.node} from {home}", daemon=True)
        self.agents = place.agents
        self.home = home
        self.at = ""
        self.is_over = False
        self._hubs = hubs
        self._next = home
        self._cursor: str | None = None
        self._stream: Stream | None = None
        self.notes = Notes()

    def run(self) -> None:
        """Listen without end."""
        names = list(self._hubs)
        while not self.is_over:
            hub = self._next
            self._next = names[(names.index(hub) + 1) % len(names)]
            try:
                self._listen(hub)
            except ClientError as error:
                if self.at:
                    self._end(str(error))
                else:
                    time.sleep(AGAIN_S)

    def go_home(self) -> None:
        """Leave another hub than the first one."""
        if self.at not in {"", self.home}:
            self._next = self.home
            self.leave()

    def leave(self) -> None:
        """End the stream."""
        stream = self._stream
        if stream is not None:
            stream.close()

    def _listen(self, hub: str) -> None:
        self._stream = stream = self._hubs[hub].open_stream(
            {}, last_event_id=self._cursor, timeout_s=OPEN_S, connect_s=CONNECT_S
        )
        why = "no reason"
        try:
            for event in stream.events():
                facts = json.loads(event.data)
                if event.type == "message":
                    heard = Heard(self.name, facts["id"], facts["to_agent"], facts["seq"])
                    self.notes.heard.append(heard)
                elif event.type == "hello":
                    stream.keepalive_s = float(facts["keepalive_s"])
                    self.at = hub
                    self.notes.turns.append(Turn(self.name, hub, time.time()))
                elif event.type == "bye":
                    why = facts["reason"]
                elif event.type == "reset":
                    reset = f"reset: {facts['reason']}"
                    self.notes.turns.append(Turn(self.name, hub, time.time(), reset))
                self._cursor = event.event_id or self._cursor
        finally:
            self._stream = None
            stream.close()
        if why == "lifetime":
            self._next = hub
        if self.at:
            self._end(why)

    def _end(self, why: str) -> None:
        self.notes.turns.append(Turn(self.name, self.at, time.time(), why))
        self.at = ""


class Clients:
    """All senders and listeners.

    Args:
        hubs: the hubs' addresses by name.
        places: the nodes, each with its token.
        event_sources: more listeners; they stay at their hubs.
    """

    def __init__(
        self,
        hubs: Mapping[str, str],
        places: Sequence[Place],
        *,
        seed: int,
        event_sources: Sequence[EventSource] = (),
    ) -> None:
        everybody = [agent for place in places for agent in place.agents]
        talkers = [place for place in places if len(place.agents) > 1]

        def clients_of(place: Place) -> dict[str, HubClient]:
            return {
                name: HubClient(url, lambda: place.token.read_text().strip())
                for name, url in hubs.items()
            }

        self.event_sources = event_sources
        self.senders = [
            Sender(number, place, to=everybody, hubs=clients_of(place), seed=seed)
            for number, place in enumerate(itertools.islice(itertools.cycle(talkers), SENDERS))
        ]
        self.listeners = [
            Listener(place, home, clients_of(place)) for place in places for home in hubs
        ]

    def start(self) -> None:
        """Listen, and once all listen, send."""
        for listener in (*self.listeners, *self.event_sources):
            listener.start()
        listening = "every EventSource listens"
        until(lambda: all(one.listens for one in self.event_sources), what=listening)
        self.wait_at_home()
        for sender in self.senders:
            sender.start()
        self.go_on()

    def wait_at_home(self) -> None:
        """Bring each listener back to its first hub."""

        def are_home() -> bool:
            for listener in self.listeners:
                listener.go_home()
            return all(listener.at == listener.home for listener in self.listeners)

        until(are_home, what="every listener has a stream at its first hub")

    def go_on(self) -> None:
        """Let senders send."""
        for sender in self.senders:
            sender.is_idle = False
            sender.may_send.set()

    def pause(self) -> None:
        """Let each sender finish its message, and send no other one."""
        for sender in self.senders:
            sender.may_send.clear()
        until(lambda: all(sender.is_idle for sender in self.senders), what="senders have paused")

    def stop(self) -> None:
        """End all of it."""
        for sender in self.senders:
            sender.is_over = True
        self.go_on()
        for listener in self.listeners:
            listener.is_over = True
            listener.leave()
        for source in self.event_sources:
            source.end()

    def places(self) -> set[str]:
        """Return at which hubs the listeners are; an empty name for one without a stream."""
        return {listener.at for listener in self.listeners}

    def agents(self) -> dict[str, Sequence[str]]:
        """Return the agents of each listener."""
        found = {one.name: one.agents for one in self.listeners}
        return found | {one.name: one.agents for one in self.event_sources}

    def notes(self) -> Notes:
        """Return what all have noted so far; each listener's messages are in their order."""
        found = Notes()
        for sender in self.senders:
            found.sent += list(sender.notes.sent)
            found.failed += list(sender.notes.failed)
        for listener in self.listeners:
            found.heard += list(listener.notes.heard)
            found.turns += list(listener.notes.turns)
        for source in self.event_sources:
            found.heard += list(source.heard)
        found.turns.sort(key=lambda turn: turn.at)
        return found
