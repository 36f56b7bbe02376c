"""A database that a release with an earlier schema wrote, opened by this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest

from agent_bus.store.sqlite.file.migrate import migrate, migrations
from tests.support.hub import FLEET, ON_SQLITE, HubProcess, digest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = ON_SQLITE
NEWEST = migrations()[-1][0]
IDS = {name: name[0].upper() * 26 for name in ("read", "waiting")}
AT = 1_790_000_000_000


def older_database(folder: Path, version: int) -> None:
    """A file as the first release of this schema left it: a read and an unread message."""
    place = folder / "older"
    place.mkdir()
    for number, path in migrations():
        if number <= version:
            (place / path.name).write_text(path.read_text())
    one = apsw.Connection(str(folder / "bus.db"))
    one.execute("PRAGMA auto_vacuum = INCREMENTAL")
    one.execute("PRAGMA journal_mode = WAL")
    migrate(one, place)
    for node, agents in FLEET.items():
        one.execute("INSERT INTO node_token VALUES (?, ?)", (node, digest(f"token-{node}")))
        for agent in agents:
            agent_row = "INSERT INTO agent (name, node, registered_at) VALUES (?, ?, ?)"
            one.execute(agent_row, (agent, node, AT))
            one.execute("INSERT INTO mailbox (agent) VALUES (?)", (agent,))
    for seq, (body, message_id) in enumerate(IDS.items(), 1):
        read_at = AT if body == "read" else None
        one.execute(
            "INSERT INTO message (pk, id, thread_id, sender, body, rank, hops, created_at,"
            " open_count, closed_at) VALUES (?1, ?2, ?2, 'gamma', ?3, 2, 0, ?4, ?5, ?6)",
            (seq, message_id, body, AT, int(read_at is None), read_at),
        )
        one.execute(
            "INSERT INTO delivery (seq, message_pk, agent, sender, rank, read_at)"
            " VALUES (?1, ?1, 'delta', 'gamma', 2, ?2)",
            (seq, read_at),
        )
    one.execute("UPDATE mailbox SET unread = 1, unfetched = 1, last_seq = 2 WHERE agent = 'delta'")
    one.execute(
        "INSERT INTO idempotency VALUES ('gamma', 'k', ?, ?, ?)", (b"0" * 32, IDS["waiting"], AT)
    )
    one.close()


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
def test_a_database_of_every_earlier_schema_goes_on(tmp_path: Path, version: int) -> None:
    older_database(tmp_path, version)
    hub = HubProcess(tmp_path)
    try:
        hub.start()
        reader = hub.client("n3")
        facts = reader.get("/api/stats").body["database"]
        assert facts["schema_version"] == NEWEST
        stream = hub.stream("n3")
        assert stream.of_type("message").data["id"] == IDS["waiting"]
        everything = reader.get("/api/history?order=asc").body["messages"]
        assert [m["id"] for m in everything] == list(IDS.values())
        sent = hub.client("n2").send("new", to="delta", reply_to=IDS["waiting"])
        assert sent["recipients"][0]["seq"] == 3
        assert stream.of_type("message").data["id"] == sent["id"]
        assert reader.post("/api/ack", {"ids": [IDS["waiting"]]}).body["acked"]
        assert [m["id"] for m in reader.get("/api/inbox").body["messages"]] == [sent["id"]]
        assert hub.enrol().body["changed"] is False
    finally:
        hub.hang_up()
        hub.kill()
