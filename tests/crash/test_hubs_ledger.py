"""Hubs are killed in traffic: nothing acknowledged is lost, doubled or left out."""

from __future__ import annotations

import functools
import http.client
import itertools
import threading
from typing import TYPE_CHECKING

from tests.support.hub import Client, StreamReader
from tests.support.hubs import hubs_in
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub import HubProcess

SENDERS, EACH, KILLS = 4, 60, 3


class Ledger:
    """What senders were answered, and what a reader saw, whichever hub it was."""

    def __init__(self, hubs: list[HubProcess]) -> None:
        self.ports = [hub.port for hub in hubs]
        self.accepted: dict[str, str] = {}
        self.seen: list[tuple[int, str]] = []

    def has(self, count: int) -> bool:
        """Whether so many were accepted."""
        return len(self.accepted) >= count

    def send_all(self, number: int) -> None:
        """Send with keys, at the next hub after each failure, until all is accepted."""
        ports = itertools.cycle(self.ports[number % 2 :] + self.ports[: number % 2])
        client = Client(next(ports), "token-n1")
        for n in range(EACH):
            key = f"{number}-{n}"
            body = {"from": "alpha", "to": "gamma", "body": key}
            while key not in self.accepted:
                try:
                    reply = client.post("/api/send", body, Idempotency_Key=key)
                except (OSError, http.client.HTTPException):
                    client = Client(next(ports), "token-n1")
                    continue
                if reply.status == 201:
                    self.accepted[key] = reply.body["id"]
        client.close()

    def follow(self) -> None:
        """Read one agent's stream, resumed by its cursor at the next hub whenever it ends."""
        ports, cursor = itertools.cycle(self.ports), ""
        while len(self.seen) < SENDERS * EACH:
            try:
                stream = StreamReader(next(ports), "token-n2", "role=watcher", cursor)
                while event := stream.next():
                    if event.type == "message":
                        self.seen.append((event.data["seq"], event.data["id"]))
                    cursor = stream.last_id or cursor
                    if len(self.seen) == SENDERS * EACH:
                        break
                stream.close()
            except (OSError, http.client.HTTPException):
                continue


def test_hubs_killed_in_traffic_lose_double_and_leave_out_nothing(tmp_path: Path) -> None:
    limits = {"sends_per_s": 10_000, "send_burst": 10_000}
    with hubs_in(tmp_path, **limits) as hubs:
        ledger = Ledger(hubs)
        threads = [
            threading.Thread(target=ledger.send_all, args=(n,), daemon=True)
            for n in range(SENDERS)
        ]
        threads.append(threading.Thread(target=ledger.follow, daemon=True))
        for thread in threads:
            thread.start()
        for n in range(KILLS):
            goal = (n + 1) * SENDERS * EACH // (KILLS + 1)
            wait_until(functools.partial(ledger.has, goal), "traffic goes on")
            hubs[n % 2].kill()
            hubs[n % 2].start()
        wait_until(lambda: not any(thread.is_alive() for thread in threads), "all has arrived")
        seqs = [seq for seq, _ in ledger.seen]
        assert seqs == list(range(seqs[0], seqs[0] + SENDERS * EACH)), "in order, without a gap"
        assert sorted(one for _, one in ledger.seen) == sorted(ledger.accepted.values())
