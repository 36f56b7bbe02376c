"""A whole bus in this process, with a real store, without HTTP: for what only time decides."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from agent_bus.bus.broker import Broker, Stream
from agent_bus.bus.bus import Bus
from agent_bus.bus.directory import Directory
from agent_bus.bus.presence import Presence
from agent_bus.core.latency import Latency
from agent_bus.core.limits import RateLimiter
from agent_bus.core.model import NodeName
from agent_bus.settings import Settings
from agent_bus.store.sqlite.sqlite_store import SqliteStore
from tests.support.clock import FakeClock
from tests.support.store import enrolled, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.core.clock import Clock


@contextlib.contextmanager
def bus_in(
    folder: Path, *, clock: Clock | None = None, kind: type[SqliteStore] = SqliteStore
) -> Iterator[Bus]:
    """A bus with the test roster; a lease holds 75 s, offline is after 300 s."""
    clock = clock or FakeClock()
    bus = Bus(
        clock=clock,
        broker=Broker(streams_total=20, streams_per_token=5),
        directory=Directory(),
        presence=Presence(clock=clock, lease_s=75, offline_after_s=300),
        limiter=RateLimiter(per_s=20, burst=200, clock=clock),
        latency=Latency(),
        hop_limit=50,
    )
    with opened(folder, clock=clock, listener=bus, kind=kind) as store:
        enrolled(store)
        bus.attach(store)
        yield bus


def settings_in(folder: Path, **more: Any) -> Settings:
    """The settings of a hub in a folder, for parts that want them without a hub."""
    return Settings.model_validate(
        {"database": folder / "bus.db", "admin_tokens_file": folder / "admin-tokens", **more}
    )


def stream(node: str | None = "n1", **more: Any) -> Stream:
    """A stream that nobody writes to a socket."""
    fields: dict[str, Any] = {
        "node": None if node is None else NodeName(node),
        "only": None,
        "is_watcher": False,
        "wants_receipts": False,
        "token_sha256": "1" * 64,
        "queue_limit": 100,
    }
    return Stream(**{**fields, **more})


def frames(of: Stream) -> list[bytes]:
    """What waits in a stream's queue."""
    found: list[bytes] = []
    while entries := of.take(0):
        found.extend(entry.frame for entry in entries)
    return found
