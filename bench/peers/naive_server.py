"""The first bus's design, unchanged: Flask on gevent, SQLite, each stream polls once a second."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify, request
from gevent.pywsgi import WSGIServer

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENTS: list[str] = json.loads(sys.argv[3])


def connect() -> sqlite3.Connection:
    """A connection as the first bus opened it: WAL and FULL, so as durable as the others."""
    connection = sqlite3.connect(sys.argv[2], timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


app = Flask("naive")


@app.post("/send")
def send() -> tuple[Response, int]:
    """Insert one row per recipient."""
    fields: dict[str, Any] = request.get_json(force=True)
    to = [fields["to"]] if fields.get("to") else [a for a in AGENTS if a != fields["from"]]
    with connect() as connection:
        for agent in to:
            connection.execute(
                "INSERT INTO messages (from_agent, to_agent, body, at) VALUES (?, ?, ?, ?)",
                (fields["from"], agent, fields["body"], time.time()),
            )
    return jsonify(ok=True), 201


@app.get("/stream")
def stream() -> Response:
    """Ask the database once a second for what is new."""
    wanted = request.args["agents"].split(",")
    marks = ",".join("?" * len(wanted))

    def rows() -> Iterator[str]:
        connection = connect()
        last = connection.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0]
        yield ": connected\n\n"
        while True:
            found = connection.execute(
                f"SELECT id, to_agent, body FROM messages WHERE id > ? AND to_agent IN ({marks})"  # noqa: S608
                " ORDER BY id",
                (last, *wanted),
            ).fetchall()
            for number, to_agent, body in found:
                last = number
                yield f"data: {json.dumps({'to_agent': to_agent, 'body': body})}\n\n"
            time.sleep(1)

    return Response(rows(), mimetype="text/event-stream")


if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()
    with connect() as first:
        first.execute(
            "CREATE TABLE messages"
            " (id INTEGER PRIMARY KEY, from_agent TEXT, to_agent TEXT, body TEXT, at REAL)"
        )
    WSGIServer(("127.0.0.1", int(sys.argv[1])), app, log=None).serve_forever()
