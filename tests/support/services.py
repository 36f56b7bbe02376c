"""Services that channels tell by, on loopback: a real SMTP server, and what ntfy would be asked.

No server of ntfy can be installed here from PyPI, npm or Debian. So a plain HTTP server keeps what
Apprise's plugin posts, in the form that ntfy documents: JSON to the server's root.
"""

from __future__ import annotations

import contextlib
import email
import http.server
import json
import threading
from dataclasses import dataclass, field
from email import policy
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller

from tests.support.patience import patience
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path


@dataclass
class Mailbox:
    """An SMTP server and what it took; `answer` is said after each message."""

    port: int
    answer: str = "250 OK"
    got: list[EmailMessage] = field(default_factory=list)

    @property
    def url(self) -> str:
        """For a channel."""
        return f"mailto://127.0.0.1:{self.port}?from=bus@example.org&to=ops@example.org"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep a message."""
        if self.answer.startswith("250"):
            self.got.append(email.message_from_bytes(envelope.content, policy=policy.default))
        return self.answer


@contextlib.contextmanager
def mailbox() -> Iterator[Mailbox]:
    """An SMTP server that listens."""
    box = Mailbox(free_port())
    controller = Controller(box, hostname="127.0.0.1", port=box.port, ready_timeout=patience())
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@dataclass
class Ntfy:
    """What was posted as to ntfy: the topic's JSON and the headers."""

    port: int = 0
    status: int = 200
    hangs: threading.Event | None = None
    """Requests are answered only once this is set."""
    asked: int = 0
    got: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """For a channel; its topic and its token are secrets."""
        return f"ntfy://tk_geheim77@127.0.0.1:{self.port}/topic-streng-geheim"

    @property
    def texts(self) -> str:
        """All titles and texts that were taken."""
        return "\n".join(f"{one.get('title')}\n{one.get('message')}" for one in self.got)


@contextlib.contextmanager
def ntfy(one: Ntfy | None = None) -> Iterator[Ntfy]:
    """A server that listens, on its former port if it had one."""
    service = one or Ntfy()

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = patience()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.asked += 1
            if service.hangs is not None:
                service.hangs.wait(patience())
            if service.status == 200:
                service.got.append(json.loads(body))
                service.headers.append(dict(self.headers.items()))
            with contextlib.suppress(OSError):  # who asked may be killed
                self.send_response(service.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, *_arguments: object) -> None:
            """Nothing on stderr."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_arguments: object) -> None:
            """A process that was killed breaks its connection."""

    server = Server(("127.0.0.1", service.port), Handler)
    service.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield service
    finally:
        if service.hangs is not None:
            service.hangs.set()
        server.shutdown()
        thread.join()
        server.server_close()


def channels_file(folder: Path, *channels: dict[str, Any]) -> str:
    """The path of a channels file in `folder`."""
    path = folder / "channels.json"
    path.write_text(json.dumps({"channels": list(channels)}))
    return str(path)
