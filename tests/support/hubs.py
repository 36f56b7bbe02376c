"""Several real hub processes on one real PostgreSQL, all active."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.support import postgres
from tests.support.hub import HubProcess
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def hubs_on(
    url: str, folder: Path, *, count: int = 2, **settings: Any
) -> Iterator[list[HubProcess]]:
    """So many hubs on the database at `url`, with the test fleet; killed at the end."""
    hubs = []
    for number in range(count):
        own = folder / f"hub{number}"
        own.mkdir()
        named = {"data_folder": str(own), "name": f"hub{number}"}
        hubs.append(HubProcess(own, {"database": url, **named, **settings}))
    try:
        for hub in hubs:
            hub.start()
        assert hubs[0].enrol().status == 200
        told = f"{count} hubs live"
        wait_until(lambda: all(told in hub.log() for hub in hubs), "all know of all")
        yield hubs
    finally:
        for hub in hubs:
            hub.hang_up()
            hub.kill()


@contextlib.contextmanager
def hubs_in(folder: Path, *, count: int = 2, **settings: Any) -> Iterator[list[HubProcess]]:
    """So many hubs on a database of their own."""
    url = postgres.database(folder)
    with hubs_on(url, folder, count=count, **settings) as hubs:
        yield hubs
