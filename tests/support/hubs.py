"""Several real hub processes on one real PostgreSQL, all active."""

from __future__ import annotations

import contextlib
import http.client
from typing import TYPE_CHECKING, Any

from tests.support import postgres
from tests.support.hub import HubProcess
from tests.support.patience import patience, wait_until
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@contextlib.contextmanager
def hubs_on(
    urls: list[str],
    folder: Path,
    own: Sequence[dict[str, Any]] = (),
    /,
    **settings: Any,
) -> Iterator[list[HubProcess]]:
    """A hub for each of these URLs of one database, with the test fleet; killed at the end.

    Args:
        own: settings of each hub alone.
        settings: those of all.
    """
    ports = [free_port() for _ in urls]
    all_hubs = [
        {"name": f"hub{number}", "url": f"http://127.0.0.1:{port}"}
        for number, port in enumerate(ports)
    ]
    hubs = []
    for number, (url, port) in enumerate(zip(urls, ports, strict=True)):
        place = folder / f"hub{number}"
        place.mkdir()
        named = {"data_folder": str(place), "name": f"hub{number}", "hubs": all_hubs}
        chosen = {**named, **settings, **(own[number] if own else {})}
        hubs.append(HubProcess(place, {"database": url, **chosen}, port=port))
    try:
        for hub in hubs:
            hub.start()
        assert hubs[0].enrol().status == 200
        told = f"{len(urls)} hubs live"
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
    with hubs_on([url] * count, folder, **settings) as hubs:
        yield hubs


def log_in(hub: HubProcess, secret: str) -> tuple[int, str]:
    """(status, the cookie's value) of a sign-in."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=patience())
    with contextlib.closing(connection):
        connection.request("POST", "/login", f"token={secret}")
        answer = connection.getresponse()
        cookie = answer.getheader("Set-Cookie") or ""
    return answer.status, cookie.partition(";")[0].partition("=")[2]
