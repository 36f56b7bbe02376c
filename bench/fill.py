"""Fills the database of a stopped hub directly: a million sends would take too long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import apsw

from agent_bus.core.model import new_message_id
from bench.peers import AGENTS

if TYPE_CHECKING:
    from pathlib import Path


def fill(database: Path, count: int, *, unread: int) -> None:
    """Add messages across the fleet; the last `unread` of them wait in the last agent's inbox."""
    connection = apsw.Connection(str(database))
    now = int(time.time() * 1000)
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'delivery'").fetchone()
    first = (row[0] if row else 0) + 1
    connection.execute("BEGIN IMMEDIATE")
    for seq in range(first, first + count):
        is_unread = seq >= first + count - unread
        agent = AGENTS[-1] if is_unread else AGENTS[seq % len(AGENTS)]
        sender = AGENTS[(seq * 7 + 1) % (len(AGENTS) - 1)]
        message_id = new_message_id(now)
        connection.execute(
            "INSERT INTO message (pk, id, thread_id, sender, body, rank, hops, created_at,"
            " open_count, closed_at) VALUES (?, ?, ?, ?, ?, 2, 0, ?, ?, ?)",
            (seq, message_id, message_id, sender, "x" * 256, now, is_unread,
             None if is_unread else now),
        )  # fmt: skip
        connection.execute(
            "INSERT INTO delivery (seq, message_pk, agent, sender, rank, fetched_at, fetch_count,"
            " read_at) VALUES (?, ?, ?, ?, 2, ?, 1, ?)",
            (seq, seq, agent, sender, None if is_unread else now, None if is_unread else now),
        )
    connection.execute(
        "UPDATE mailbox SET unread = unread + ?, unfetched = unfetched + ? WHERE agent = ?",
        (unread, unread, AGENTS[-1]),
    )
    connection.execute("COMMIT")
    connection.close()
