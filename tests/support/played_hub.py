"""A hub with answers made by the test: the real hub gives some only when it is in trouble."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class PlayedHub(ThreadingHTTPServer):
    """Listens until its `with` block ends.

    Args:
        answer: takes method, path with query and the decoded body; returns status and the object
            to encode, or None to hang up without an answer.

    Attributes:
        bodies: what was posted, in order.
        keys: the idempotency key of each, None where there was none.
    """

    daemon_threads = True

    def __init__(self, answer: Callable[[str, str, Any], tuple[int, Any] | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.answer = answer
        self.bodies: list[Any] = []
        self.keys: list[str | None] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def server_close(self) -> None:
        self.shutdown()
        self._thread.join()
        super().server_close()


class _Request(BaseHTTPRequestHandler):
    server: PlayedHub

    def do_GET(self) -> None:  # the name is http.server's
        self._reply(None)

    def do_POST(self) -> None:  # as above
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        self.server.bodies.append(body)
        self.server.keys.append(self.headers["Idempotency-Key"])
        self._reply(body)

    def do_PUT(self) -> None:  # as above
        self.do_POST()

    def _reply(self, body: Any) -> None:
        found = self.server.answer(self.command, self.path, body)
        self.close_connection = True
        if found is None:
            return
        status, content = found
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
