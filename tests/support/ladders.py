"""Ladders of urgent mail at a real hub, whose minutes a test does not wait for."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

from tests.support import postgres
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.hub import HubProcess

MINUTE_MS = 60_000


def execute(hub: HubProcess, sql: str) -> int:
    """Change what a hub's database holds; answers how many rows."""
    database = hub.settings.get("database")
    if hub.store == "sqlite" and database is None:
        file = sqlite3.connect(hub.folder / "bus.db", timeout=patience())
        with contextlib.closing(file), file:
            return file.execute(sql).rowcount
    import psycopg

    with psycopg.connect(str(database or postgres.database(hub.folder))) as connection:
        return connection.execute(sql.encode()).rowcount


def age(hub: HubProcess, message_id: str, *, minutes: float) -> None:
    """Let a message have waited for longer, once the hub has seen that it waits."""
    shift = int(minutes * MINUTE_MS)
    wanted = (
        "UPDATE ladder SET since = since - {} WHERE message_pk ="
        f" (SELECT pk FROM message WHERE id = '{message_id}')"
    )
    wait_until(lambda: execute(hub, wanted.format(0)), "the hub has seen the message wait")
    assert execute(hub, wanted.format(shift))


def steps(hub: HubProcess, message_id: str) -> list[dict[str, Any]]:
    """The steps of a message's first delivery."""
    found = hub.client(None).get(f"/api/messages/{message_id}").body
    ladder: list[dict[str, Any]] = found["deliveries"][0]["ladder"]
    return ladder


def wait_for_steps(hub: HubProcess, message_id: str, *targets: str) -> list[dict[str, Any]]:
    """The steps, once these targets were told by notices that are stored."""

    def are_there() -> bool:
        found = steps(hub, message_id)
        return [one["to"] for one in found if one["notice_id"]] == list(targets)

    wait_until(are_there, f"{', '.join(targets)} were told of {message_id}")
    return steps(hub, message_id)


@contextlib.contextmanager
def rules(hub: HubProcess, escalation: dict[str, Any], **more: Any) -> Iterator[None]:
    """Put the test fleet's roster with ladders."""
    assert hub.enrol(escalation=escalation, **more).status == 200
    yield
    assert hub.enrol().status == 200
