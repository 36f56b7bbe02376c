"""The database is killed under a running hub: what was accepted stays, once, in its order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.support import guard, postgres
from tests.support.hub import Client, HubProcess, running
from tests.support.ledger import BROKEN, Ledger, Reader, look
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 3
SENDERS = 8
MESSAGES = 40
"""Between two kills."""


def send_until(hub: HubProcess, number: int, stop: threading.Event, ledger: Ledger) -> None:
    """One sender: each message with a key of its own, again and again until it is accepted."""
    client = Client(hub.port, "token-n2")
    count = 0
    while not stop.is_set():
        key = f"{number}-{count}"
        accepted = None
        while accepted is None:
            try:
                reply = client.post("/api/send", {"to": "delta", "body": key}, Idempotency_Key=key)
            except BROKEN:
                continue
            assert reply.status in {201, 503}, reply.body
            accepted = reply.body["id"] if reply.status == 201 else None
            if accepted is None:
                stop.wait(0.05)
        count += 1
        with ledger.lock:
            ledger.accepted[key] = accepted
    client.close()


def more(ledger: Ledger) -> None:
    """Wait until more messages are accepted."""
    goal = len(ledger.accepted) + MESSAGES
    wait_until(lambda: len(ledger.accepted) >= goal, f"{goal} messages are accepted")


def test_a_killed_database_loses_doubles_and_reorders_nothing(tmp_path: Path) -> None:
    server = postgres.Server(
        postgres.TEMPORARY / f"agent-bus-postgres-{guard.mark()}-killed", fsync=True
    )
    server.start()
    where = {"database": server.url("postgres"), "data_folder": str(tmp_path)}
    ledger, stop = Ledger(), threading.Event()
    with running(tmp_path, sends_per_s=1e6, send_burst=1_000_000, **where) as hub:
        reader = Reader(hub.port)
        reader.start()
        senders = [
            threading.Thread(target=send_until, args=(hub, number, stop, ledger))
            for number in range(SENDERS)
        ]
        for sender in senders:
            sender.start()
        for _ in range(KILLS):
            more(ledger)
            server.kill()
            server.start()
        more(ledger)
        stop.set()
        for sender in senders:
            sender.join(patience())
        look(reader, ledger)
        reader.stop.set()
        print(f"{len(reader.events)} messages over {KILLS} kills: 0 lost, 0 doubled")
    reader.join(patience())
    assert not reader.is_alive()
