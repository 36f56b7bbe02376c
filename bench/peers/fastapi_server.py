"""A bus in FastAPI on uvicorn: each send is a synced commit, and is pushed to open streams.

It does the work of the hub's send (a message, a delivery per recipient, counters of the mailbox,
events to the streams) without rights, limits or receipts. SQLite is asked on the event loop: that
costs less than a thread for each commit.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Annotated

import uvicorn
from fastapi import FastAPI, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PORT, DATABASE, AGENTS = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE message (pk INTEGER PRIMARY KEY, id TEXT UNIQUE, sender TEXT, body TEXT, at REAL);
CREATE TABLE delivery (seq INTEGER PRIMARY KEY, message_pk INTEGER, agent TEXT, read_at REAL);
CREATE INDEX unread ON delivery (agent, seq) WHERE read_at IS NULL;
CREATE TABLE mailbox (agent TEXT PRIMARY KEY, unread INTEGER DEFAULT 0);
"""


class Message(BaseModel):
    """What is sent."""

    sender: Annotated[str, Field(alias="from", max_length=64)]
    to: Annotated[str | None, Field(max_length=64)] = None
    body: Annotated[str, Field(min_length=1, max_length=65_536)]


class Sent(BaseModel):
    """What is answered."""

    id: str
    recipients: list[str]


connection = sqlite3.connect(DATABASE, isolation_level=None)
streams: defaultdict[str, set[asyncio.Queue[str]]] = defaultdict(set)
app = FastAPI()


@app.post("/send", status_code=201)
async def send(message: Message) -> Sent:
    """Store one message, then push it."""
    to = [message.to] if message.to else [a for a in AGENTS if a != message.sender]
    found, now = uuid.uuid4().hex, time.time()
    connection.execute("BEGIN IMMEDIATE")
    key = connection.execute(
        "INSERT INTO message (id, sender, body, at) VALUES (?, ?, ?, ?)",
        (found, message.sender, message.body, now),
    ).lastrowid
    seqs = []
    for agent in to:
        added = "INSERT INTO delivery (message_pk, agent) VALUES (?, ?)"
        seqs.append(connection.execute(added, (key, agent)).lastrowid)
        counted = "UPDATE mailbox SET unread = unread + 1 WHERE agent = ?"
        connection.execute(counted, (agent,))
    connection.execute("COMMIT")
    for seq, agent in zip(seqs, to, strict=True):
        event = {
            "id": found,
            "seq": seq,
            "from_agent": message.sender,
            "to_agent": agent,
            "body": message.body,
            "created_at": now,
        }
        frame = f"id: {seq}\ndata: {json.dumps(event)}\n\n"
        for queue in streams[agent]:
            queue.put_nowait(frame)
    return Sent(id=found, recipients=to)


@app.get("/stream")
async def stream(agents: Annotated[str, Query()]) -> StreamingResponse:
    """Carry what is sent to these agents from now on."""
    queue: asyncio.Queue[str] = asyncio.Queue()

    async def frames() -> AsyncIterator[str]:
        for agent in agents.split(","):
            streams[agent].add(queue)
        try:
            yield ": connected\n\n"
            while True:
                yield await queue.get()
        finally:
            for agent in agents.split(","):
                streams[agent].discard(queue)

    return StreamingResponse(frames(), media_type="text/event-stream")


if __name__ == "__main__":
    connection.executescript(SCHEMA)
    connection.executemany("INSERT INTO mailbox (agent) VALUES (?)", [(a,) for a in AGENTS])
    uvicorn.run(
        app, host="127.0.0.1", port=PORT, http="httptools", log_level="warning", access_log=False
    )
