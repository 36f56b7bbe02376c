"""A proxy that nobody should ask: it notes each request line and refuses the request."""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

NAMES: Final = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")


class RecordingProxy:
    """Listens on loopback while the block runs; `asked` has what came in."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Refusal(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                asked.append(self.rfile.readline(4096).decode(errors="replace").strip())
                self.wfile.write(b"HTTP/1.1 502 refused\r\nContent-Length: 0\r\n\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusal)
        self._server.daemon_threads = True

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send programs to it, in lower and upper case, without exceptions."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        known = dict.fromkeys(NAMES, url) | {name.upper(): url for name in NAMES}
        return {**known, "no_proxy": "", "NO_PROXY": ""}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
