"""A whole bus in this process, with a real store but no HTTP: for tests that move time."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from agent_bus.app.assembly import Core, assemble
from agent_bus.bus.broker import Stream
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
    folder: Path, *, clock: Clock | None = None, kind: type[SqliteStore] = SqliteStore, **more: Any
) -> Iterator[Core]:
    """A bus and its parts with the test roster; a lease holds 75 s, offline is after 300 s.

    Args:
        more: settings.
    """
    clock = clock or FakeClock()
    with opened(folder, clock=clock, kind=kind) as store:
        enrolled(store)
        limits = {"streams_total": 20, "streams_per_token": 5}
        yield assemble(settings_in(folder, **{**limits, **more}), store, clock)


def settings_in(folder: Path, **more: Any) -> Settings:
    """The settings of a hub in a folder, for parts that want them without a hub."""
    return Settings.model_validate(
        {"database": folder / "bus.db", "admin_tokens_file": folder / "admin-tokens", **more}
    )


def stream(node: str | None = "n1", **more: Any) -> Stream:
    """A stream without a socket."""
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


def admitted(core: Core, node: str | None = "n1", **more: Any) -> Stream:
    """A stream that is past its opening."""
    one = stream(node, **more)
    one.is_live = one.is_greeted = True
    core.broker.admit(one)
    return one


def events(of: Stream) -> list[tuple[str, Any]]:
    """(event type, decoded data) of what waits in a stream's queue."""
    found = []
    for frame in frames(of):
        fields = dict(line.split(": ", 1) for line in frame.decode().splitlines() if line)
        found.append((fields.get("event", "message"), json.loads(fields["data"])))
    return found
