"""A real receiver of webhooks on loopback: it verifies each request with the official library.

What it answers is set by the test; what it got stays, so that a test can judge it as a ledger.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET: Final = "whsec_" + base64.b64encode(b"a secret of 24 bytes ...").decode()
OTHER_SECRET: Final = "whsec_" + base64.b64encode(b"another secret of 31 bytes ....").decode()


@dataclass(frozen=True)
class Got:
    """One request: its verified content, and what it was answered."""

    id: str
    content: Any
    headers: dict[str, str]
    status: int


@dataclass
class Receiver:
    """Answers with `status`; `answers` are taken first, one each."""

    port: int = 0
    secret: str = SECRET
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    rest: bytes = b""
    hangs: threading.Event | None = None
    """Requests are answered only once this is set."""
    on_request: Callable[[], None] = lambda: None

    @property
    def taken(self) -> list[Got]:
        """What was answered with success, in order."""
        return [one for one in list(self.got) if 200 <= one.status < 300]

    @property
    def bodies(self) -> list[str]:
        """The texts of all messages that were taken."""
        return [one.content["data"].get("body") for one in self.taken]

    def wait_for(self, count: int) -> list[Got]:
        """Wait until so many different events were taken."""
        wait_until(lambda: len({one.id for one in self.taken}) >= count, f"{count} events came")
        return self.taken

    def times(self) -> Counter[str]:
        """How often each event was taken."""
        return Counter(one.id for one in self.taken)

    def url(self, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """Where it listens."""
        return f"{scheme}://{host}:{self.port}/hook?tenant=7"


@contextlib.contextmanager
def receiving(
    receiver: Receiver | None = None, *, context: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """A receiver that listens, on its former port if it had one; closed at the end."""
    receiver = Receiver() if receiver is None else receiver
    listening = receiver

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = patience()

        def do_POST(self) -> None:
            _answer(listening, self)

        def log_message(self, *_arguments: object) -> None:
            """Nothing on stderr."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_arguments: object) -> None:
            """A hub that was killed breaks its connections."""

    server = Server(("127.0.0.1", receiver.port), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        if receiver.hangs is not None:
            receiver.hangs.set()
        server.shutdown()
        thread.join()
        server.server_close()


def configured(folder: Path, receiver: Receiver, /, **more: Any) -> str:
    """The path of a webhooks file in `folder` with one webhook, `ops`, to this receiver."""
    secrets = folder / "webhook-secrets.json"
    secrets.write_text(json.dumps({"ops": more.pop("secrets", [SECRET])}))
    one = {
        "name": "ops",
        "url": receiver.url(),
        "fleet": True,
        "allow_http": True,
        "allow_private": True,
        "body": True,
        **more,
    }
    path = folder / "webhooks.json"
    path.write_text(json.dumps({"secrets_file": str(secrets), "webhooks": [one]}))
    return str(path)


def _answer(receiver: Receiver, request: http.server.BaseHTTPRequestHandler) -> None:
    body = request.rfile.read(int(request.headers["Content-Length"]))
    headers = {name.lower(): value for name, value in request.headers.items()}
    receiver.on_request()
    if receiver.hangs is not None:
        receiver.hangs.wait(patience())
    status = receiver.answers.pop(0) if receiver.answers else receiver.status
    try:
        content = Webhook(receiver.secret).verify(body, headers)
    except WebhookVerificationError as error:
        receiver.faults.append(str(error))
        status, content = 401, None
    receiver.got.append(Got(headers.get("webhook-id", ""), content, headers, status))
    request.send_response(status)
    for name, value in receiver.headers.items():
        request.send_header(name, value)
    if status != 204:
        request.send_header("Content-Length", str(len(receiver.rest)))
    request.end_headers()
    if status != 204:
        request.wfile.write(receiver.rest)
