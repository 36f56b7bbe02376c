"""What senders were answered and what a reader saw, over several hubs that may die."""

from __future__ import annotations

import http.client
import itertools
import threading
from typing import TYPE_CHECKING

from tests.support.hub import Client, StreamReader
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from tests.support.hub import HubProcess


class Ledger:
    """What senders were answered, and what a reader saw, whichever hub it was."""

    def __init__(self, hubs: list[HubProcess], *, senders: int = 4, each: int = 60) -> None:
        self.each = each
        self.count = senders * each
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
        for n in range(self.each):
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
        while len(self.seen) < self.count:
            try:
                stream = StreamReader(next(ports), "token-n2", "role=watcher", cursor)
                while event := stream.next():
                    if event.type == "message":
                        self.seen.append((event.data["seq"], event.data["id"]))
                    cursor = stream.last_id or cursor
                    if len(self.seen) == self.count:
                        break
                stream.close()
            except (OSError, http.client.HTTPException):
                continue

    def start(self) -> None:
        """Begin to send and to read."""
        senders = self.count // self.each
        self._threads = [
            threading.Thread(target=self.send_all, args=(n,), daemon=True) for n in range(senders)
        ]
        self._threads.append(threading.Thread(target=self.follow, daemon=True))
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Wait until all has arrived: each accepted message once, in order, without a gap."""
        wait_until(lambda: not any(t.is_alive() for t in self._threads), "all has arrived")
        seqs = [seq for seq, _ in self.seen]
        assert seqs == list(range(seqs[0], seqs[0] + self.count))
        assert sorted(one for _, one in self.seen) == sorted(self.accepted.values())
