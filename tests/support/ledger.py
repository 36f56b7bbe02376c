"""What clients know of a bus: what they sent, and what came over a stream, in its order."""

from __future__ import annotations

import contextlib
import http.client
import threading
from dataclasses import dataclass, field

from tests.support.hub import StreamReader
from tests.support.patience import wait_until

BROKEN = (OSError, http.client.HTTPException)


@dataclass
class Ledger:
    """What senders know: key -> id of each accepted send, and keys whose answer was lost."""

    accepted: dict[str, str] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


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
            with contextlib.suppress(*BROKEN):
                self._read()
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


def look(reader: Reader, ledger: Ledger) -> None:
    """Check that all accepted messages came, once and in order; nobody may send at the time."""
    wait_until(lambda: len(reader.events) >= len(ledger.accepted))
    seqs = [seq for seq, _ in reader.events]
    bodies = [body for _, body in reader.events]
    assert seqs == sorted(set(seqs))
    assert len(bodies) == len(set(bodies))
    assert set(bodies) == set(ledger.accepted)
    assert reader.resets == []
