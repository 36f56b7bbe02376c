"""A test double of the language models, and of nothing else.

`python3 -m tests.e2e.scripted.server` serves all wires on loopback of the machine it runs on. Each
question is one line in the log: when, on which wire, the step it was answered with, the tools that
the client offered, and the last words. Standard library only; runs in a container of the lab on
Debian's own Python.
"""

from __future__ import annotations

import argparse
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.e2e.scripted.script import next_step
from tests.e2e.scripted.wires import WIRES, Wire

WORDS = 2000  # of a conversation's newest text, in the log


class Handler(BaseHTTPRequestHandler):
    """HTTP in front of the script."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_HEAD(self) -> None:
        """Answer a client that looks whether anything is there."""
        self._json({})

    def do_GET(self) -> None:
        """Answer the list of models."""
        self._json({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    def do_POST(self) -> None:
        """Answer one question by the next step of the script; anything else by nothing."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        wire = next((wire for end, wire in WIRES.items() if path.endswith(end)), None)
        if wire is None:
            self.server.note({"path": self.path})
            self._json({"input_tokens": 1, "totalTokens": 1})
        else:
            self._stream(wire, json.loads(raw))

    def log_message(self, *_: Any) -> None:
        """Keep the journal quiet; the questions are in the log."""

    def _json(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stream(self, wire: Wire, request: dict[str, Any]) -> None:
        turn = wire.read(request)
        step = next_step(turn)
        newest = turn.results[-1] if turn.results else turn.words
        self.server.note(
            {
                "wire": wire.name,
                "wanted": step.wanted,
                "tool": step.tool,
                "arguments": step.arguments,
                "answer": step.answer,
                "tools": turn.tools,
                "words": newest[:WORDS],
            }
        )
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for chunk in wire.stream(step):
            self.wfile.write(chunk.encode())
        self.close_connection = True


class Server(ThreadingHTTPServer):
    """The model, on loopback."""

    daemon_threads = True

    def __init__(self, port: int, log: Path) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self._log = log

    def note(self, line: dict[str, Any]) -> None:
        """Write one question down: one write, so that questions at once do not mix."""
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"at": time.time(), **line}) + "\n")


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8391)
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args()
    Server(given.port, given.log).serve_forever()


if __name__ == "__main__":
    main()
