"""Kill -9 under concurrent sends: nothing acknowledged is lost, doubled or reordered."""

from __future__ import annotations

import http.client
import os
import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.hub import Client, HubProcess, StreamReader, running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from pathlib import Path

CYCLES = int(os.environ.get("AGENT_BUS_CRASH_CYCLES", "40"))
SENDERS = 32
LOOK_EVERY = 20
"""Cycles between two comparisons of everything, so that a stopped soak has checked something."""
BROKEN = (OSError, http.client.HTTPException)


@dataclass
class Ledger:
    """What senders know: key -> id of each accepted send, and keys whose answer was lost."""

    accepted: dict[str, str] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


def send_until(
    hub: HubProcess, number: int, cycle: int, stop: threading.Event, ledger: Ledger
) -> None:
    """One sender: each message with a key of its own, until the hub is gone."""
    client = Client(hub.port, "token-n2")
    count = 0
    while not stop.is_set():
        key = f"{cycle}-{number}-{count}"
        count += 1
        body = {"to": "delta", "body": key}
        try:
            reply = client.post("/api/send", body, Idempotency_Key=key)
        except BROKEN:
            with ledger.lock:
                ledger.unanswered[key] = key
            break
        assert reply.status == 201, reply.body
        with ledger.lock:
            ledger.accepted[key] = reply.body["id"]
    client.close()


class Reader(threading.Thread):
    """A subscriber that resumes by Last-Event-ID and keeps every event in order."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.events: list[tuple[int, str]] = []
        self.cursor = ""
        self.stop = threading.Event()
        self.resets: list[str] = []

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                self._read()
            except BROKEN:
                self.stop.wait(0.02)

    def _read(self) -> None:
        stream = StreamReader(self.port, "token-n3", last_event_id=self.cursor)
        try:
            while not self.stop.is_set():
                event = stream.next()
                if event is None:
                    return
                if event.type == "message":
                    self.events.append((event.data["seq"], event.data["body"]))
                    self.cursor = event.id or ""
                elif event.type == "reset":
                    self.resets.append(event.data["reason"])
        finally:
            stream.close()


def one_cycle(hub: HubProcess, cycle: int, ledger: Ledger, dice: random.Random) -> None:
    stop = threading.Event()
    senders = [
        threading.Thread(target=send_until, args=(hub, n, cycle, stop, ledger))
        for n in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    goal = len(ledger.accepted) + dice.randrange(4 * SENDERS)
    wait_until(lambda: len(ledger.accepted) >= goal, f"{goal} messages are accepted")
    hub.kill()
    stop.set()
    for sender in senders:
        sender.join()
    hub.start()
    client = Client(hub.port, "token-n2")
    with ledger.lock:
        unanswered, ledger.unanswered = ledger.unanswered, {}
    for key in unanswered:
        body = {"to": "delta", "body": key}
        first = client.post("/api/send", body, Idempotency_Key=key).body["id"]
        assert client.post("/api/send", body, Idempotency_Key=key).body["id"] == first
        ledger.accepted[key] = first
    client.close()


def look(reader: Reader, ledger: Ledger) -> None:
    """Check that all accepted messages came, once and in order; nobody may send at the time."""
    wait_until(lambda: len(reader.events) >= len(ledger.accepted))
    seqs = [seq for seq, _ in reader.events]
    bodies = [body for _, body in reader.events]
    assert seqs == sorted(set(seqs))
    assert len(bodies) == len(set(bodies))
    assert set(bodies) == set(ledger.accepted)
    assert reader.resets == []


def test_kill_9_loses_doubles_and_reorders_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, {CYCLES} cycles, {SENDERS} senders")
    ledger, dice = Ledger(), random.Random(seed)
    with running(tmp_path, sends_per_s=1e6, send_burst=1_000_000) as hub:
        reader = Reader(hub.port)
        reader.start()
        for cycle in range(CYCLES):
            one_cycle(hub, cycle, ledger, dice)
            if (cycle + 1) % LOOK_EVERY == 0:
                look(reader, ledger)
                print(f"{cycle + 1} kills, {len(ledger.accepted)} messages so far", flush=True)
        look(reader, ledger)
        reader.stop.set()
        print(f"{len(reader.events)} messages over {CYCLES} kills: 0 lost, 0 doubled")
    reader.join(patience())
    assert not reader.is_alive()
