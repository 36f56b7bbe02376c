"""Kill -9 under concurrent sends: nothing acknowledged is lost, doubled or reordered."""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.hub import STORE_VARIABLE, Client, HubProcess, running
from tests.support.ledger import BROKEN, Ledger, Reader, look
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from pathlib import Path

CYCLES = {"sqlite": 40, "postgres": 5}
"""In a short run; AGENT_BUS_CRASH_CYCLES counts for both."""
SENDERS = 32
LOOK_EVERY = 20
"""Cycles between two comparisons of everything, so that a stopped soak has checked something."""


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


@pytest.mark.parametrize("store", CYCLES)
def test_kill_9_loses_doubles_and_reorders_nothing(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, store)
    cycles = int(os.environ.get("AGENT_BUS_CRASH_CYCLES", CYCLES[store]))
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, {cycles} cycles, {SENDERS} senders")
    ledger, dice = Ledger(), random.Random(seed)
    with running(tmp_path, sends_per_s=1e6, send_burst=1_000_000) as hub:
        reader = Reader(hub.port)
        reader.start()
        for cycle in range(cycles):
            one_cycle(hub, cycle, ledger, dice)
            if (cycle + 1) % LOOK_EVERY == 0:
                look(reader, ledger)
                print(f"{cycle + 1} kills, {len(ledger.accepted)} messages so far", flush=True)
        look(reader, ledger)
        reader.stop.set()
        print(f"{len(reader.events)} messages over {cycles} kills: 0 lost, 0 doubled")
    reader.join(patience())
    assert not reader.is_alive()
