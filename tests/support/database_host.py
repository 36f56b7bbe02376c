"""A played Patroni and etcd of one host: what a hub asks, answered as a test wants it."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

QUOTA = 2_147_483_648


def member(name: str, role: str = "quorum_standby", **more: Any) -> dict[str, Any]:
    """A member as Patroni 4 lists it."""
    leads = role == "leader"
    state = {"state": "running"} if leads else {"state": "streaming", "lag": 0}
    return {"name": name, "role": role, "host": name, "port": 5432, "timeline": 3, **state, **more}


@dataclass
class DatabaseHost:
    """What the programs of a host say. None: that one does not answer."""

    members: list[dict[str, Any]] | None = None
    itself: dict[str, Any] | None = None
    etcd: dict[str, float] | None = field(
        default_factory=lambda: {"has_leader": 1.0, "is_leader": 0.0, "size": 20_480.0}
    )
    is_healthy: bool = True
    is_paused: bool = False
    url: str = ""

    def answer(self, path: str) -> tuple[int, str] | None:
        """(status, body); None cuts the connection."""
        if path == "/cluster" and self.members is not None:
            said = {"members": self.members, "scope": "agent-bus"}
            return 200, json.dumps({**said, "pause": True} if self.is_paused else said)
        if path == "/patroni" and self.itself is not None:
            return 200, json.dumps(self.itself)
        if self.etcd is None:
            return None
        if path == "/health":
            return (200 if self.is_healthy else 503), json.dumps(
                {"health": str(self.is_healthy).lower()}
            )
        if path == "/metrics":
            return 200, (
                "# HELP etcd_server_has_leader Whether or not a leader exists.\n"
                f"etcd_server_has_leader {self.etcd['has_leader']}\n"
                f"etcd_server_is_leader {self.etcd['is_leader']}\n"
                'grpc_server_handled_total{grpc_code="OK",grpc_method="Put"} 4\n'
                f"etcd_mvcc_db_total_size_in_bytes {self.etcd['size']:e}\n"
                f"etcd_server_quota_backend_bytes {QUOTA:.9e}\n"
            )
        return None

    @property
    def settings(self) -> dict[str, str]:
        """What a hub on this host has in its settings."""
        return {"patroni_url": self.url, "etcd_metrics_url": self.url}


@contextlib.contextmanager
def database_host(**said: Any) -> Iterator[DatabaseHost]:
    """A host that answers until the end of the block."""
    played = DatabaseHost(**said)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = played.answer(self.path)
            if answer is not None:
                self.send_response(answer[0])
                self.end_headers()
                self.wfile.write(answer[1].encode())

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    played.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield played
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
