"""A real hub process on loopback for tests, and a small client that returns raw answers."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.nursery import Child, served
from tests.support.patience import patience, wait_until
from tests.support.ports import free_port

if TYPE_CHECKING:
    import ssl
    import subprocess
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
ADMIN = "admin-token"
STORE_VARIABLE = "AGENT_BUS_STORE"  # postgres: hubs run on it where a test does not say
ON_SQLITE = pytest.mark.skipif(
    os.environ.get(STORE_VARIABLE, "sqlite") != "sqlite", reason="about SQLite's file"
)
FLEET = {"n1": ("alpha", "beta"), "n2": ("gamma",), "n3": ("delta",)}
"""Node -> its agents; a node's token is `token-<node>`."""


def digest(token: str) -> str:
    """The SHA-256 of a token, as the hub knows it."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass
class Reply:
    """Status, headers (lower-case names) and decoded body of an answer."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Event:
    """One parsed event: its type, id and decoded data."""

    type: str
    id: str | None
    data: Any


class Client:
    """HTTP with one token over one kept connection."""

    def __init__(
        self,
        port: int,
        token: str | None,
        *,
        host: str = "127.0.0.1",
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._token = token
        self._trust = trust
        self._connection: http.client.HTTPConnection | None = None

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Send a request (a dict as JSON, bytes as they are) and read the whole answer."""
        if self._connection is None:
            self._connection = self._connect()
        sent = dict(headers or {})
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        payload = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self._connection.request(method, path, payload, sent)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        found = {name.lower(): value for name, value in answer.getheaders()}
        if answer.will_close:
            self.close()
        return Reply(answer.status, found, json.loads(text) if text else None)

    def _connect(self) -> http.client.HTTPConnection:
        if self._trust is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=patience())
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=patience(), context=self._trust
        )

    def get(self, path: str) -> Reply:
        """GET."""
        return self.call("GET", path)

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        """POST; keyword names become headers with dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", path, body, named)

    def send(self, text: str = "hello", /, **fields: Any) -> Any:
        """Send a message and return the answer's body; fails unless it was accepted."""
        reply = self.post("/api/send", {"body": text, **fields})
        assert reply.status == 201, reply.body
        return reply.body

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class StreamReader:
    """An open event stream, read event by event."""

    def __init__(
        self,
        port: int,
        token: str,
        query: str = "",
        last_event_id: str = "",
        *,
        host: str = "127.0.0.1",
        path: str = "/api/stream",
        cookie: str = "",
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._socket = socket.create_connection((host, port), timeout=patience())
        if trust is not None:
            self._socket = trust.wrap_socket(self._socket, server_hostname=host)
        path = f"{path}?{query}".rstrip("?")
        cursor = f"Last-Event-ID: {last_event_id}\r\n" if last_event_id else ""
        who = f"Cookie: {cookie}" if cookie else f"Authorization: Bearer {token}"
        request = f"GET {path} HTTP/1.1\r\nHost: hub:{port}\r\n{who}\r\n{cursor}\r\n"
        self._response = http.client.HTTPResponse(self._socket)
        try:
            self._socket.sendall(request.encode())
            self._response.begin()
        except BaseException:
            self.close()
            raise
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}
        self.last_id: str | None = None

    def next(self, wanted: str = "any event") -> Event | None:
        """The next event, without comments; None at the end of the stream.

        Comments come for ever: a stream that carries nothing else fails the test, too.
        """
        self._socket.settimeout(patience())
        deadline = time.monotonic() + patience()
        name, identifier = "message", None
        data: list[str] = []
        while line := self._response.readline():
            assert time.monotonic() < deadline, f"the stream brought only comments, not {wanted}"
            text = line.decode().rstrip("\n")
            key, _, value = text.partition(": ")
            if not text and data:
                return Event(name, identifier, json.loads("\n".join(data)))
            if not text:
                name = "message"
            elif key == "data":
                data.append(value)
            elif key == "event":
                name = value
            elif key == "id":
                identifier = self.last_id = value
        return None

    def wait_for_comment(self) -> None:
        """Read up to a comment, which tells that the stream lives; fails on any event before."""
        self._socket.settimeout(patience())
        while not (line := self._response.readline()).startswith(b":"):
            assert line == b"\n", f"no comment: {line!r}"

    def of_type(self, wanted: str) -> Event:
        """The next event of one type; others are passed over."""
        while True:
            event = self.next(wanted)
            assert event is not None, f"the stream ended before {wanted!r}"
            if event.type == wanted:
                return event

    def rest(self) -> list[Event]:
        """All events up to the end of the stream."""
        return list(iter(self.next, None))

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._response.close()
        self._socket.close()


LASTING = {"lease_s": 3600, "offline_after_s": 7200}
"""A stream that a test opens as a watcher's reports once or never, and tests may take long."""


@dataclass
class HubProcess:
    """A hub process with its folder; stop or kill it, and start it again on the same file."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | Child | None = None
    port: int = 0
    opened: list[Client | StreamReader] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    store: str = field(default_factory=lambda: os.environ.get(STORE_VARIABLE, "sqlite"))

    def start(self, *, wait: bool = True) -> None:
        """Start the server and wait until it is ready."""
        if not self.port:
            self.port = free_port()
        (self.folder / "admin-tokens").write_text(digest(ADMIN) + "\n")
        configuration = {
            "bind": f"127.0.0.1:{self.port}",
            **self._database(),
            "admin_tokens_file": str(self.folder / "admin-tokens"),
            **LASTING,
            **self.settings,
        }
        path = self.folder / "hub.json"
        path.write_text(json.dumps(configuration))
        with (self.folder / "log").open("ab") as log:
            self.process = served(path, log, **self.environ)
        if wait:
            wait_until(self.is_ready, "the hub is ready")

    def _database(self) -> dict[str, str]:
        """The settings of a store in the hub's folder, or of a database of its own."""
        if self.store == "sqlite":
            return {"database": str(self.folder / "bus.db")}
        from tests.support import postgres

        return {"database": postgres.database(self.folder), "data_folder": str(self.folder)}

    def is_ready(self) -> bool:
        """Whether /readyz answers 200; fails the test when the process has ended."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the hub ended with {self.process.returncode}: {self.log()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            client = Client(self.port, None)
            status = client.get("/readyz").status
            client.close()
            return status == 200
        return False

    def stop(self) -> int:
        """SIGTERM and wait; returns the exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        code = self.process.wait(patience())
        self.process = None
        return code

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(patience())
            self.process = None
            wait_until(lambda: not self._listens(), "its port is closed")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), patience()).close()
        except ConnectionResetError:  # in the very moment of its end
            return True
        except ConnectionRefusedError:
            return False
        return True

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query finds in its database, on either store."""
        if self.store == "sqlite":
            with contextlib.closing(sqlite3.connect(self.folder / "bus.db")) as file:
                return file.execute(sql).fetchall()
        import psycopg

        from tests.support import postgres

        with psycopg.connect(postgres.database(self.folder)) as connection:
            return connection.execute(sql.encode()).fetchall()

    def log(self) -> str:
        """What the server wrote to stderr."""
        return (self.folder / "log").read_text()

    def client(self, node: str | None = "n1") -> Client:
        """A client with a node's token; None for the admin's. Closed with the hub."""
        client = Client(self.port, ADMIN if node is None else f"token-{node}")
        self.opened.append(client)
        return client

    def stream(self, node: str = "n1", query: str = "", last_event_id: str = "") -> StreamReader:
        """An open stream of a node. Closed with the hub."""
        reader = StreamReader(self.port, f"token-{node}", query, last_event_id)
        self.opened.append(reader)
        return reader

    def streams_open(self) -> int:
        """How many streams the hub has open."""
        client = Client(self.port, ADMIN)
        with contextlib.closing(client):
            return int(client.get("/api/stats").body["streams"]["open"])

    def hang_up(self) -> None:
        """Close every client and stream that was opened."""
        while self.opened:
            self.opened.pop().close()

    def enrol(self, fleet: dict[str, tuple[str, ...]] | None = None, **more: Any) -> Reply:
        """Put the test fleet's roster."""
        return self.client(None).call("PUT", "/api/agents", roster(fleet or FLEET, **more))


def roster(fleet: dict[str, tuple[str, ...]], **more: Any) -> dict[str, Any]:
    """A roster body for node -> agents, each node with the token `token-<node>`."""
    return {
        "agents": [{"name": a, "node": node} for node, agents in fleet.items() for a in agents],
        "tokens": [{"node": node, "sha256": [digest(f"token-{node}")]} for node in fleet],
        "groups": {},
        **more,
    }


@contextlib.contextmanager
def running(
    folder: Path, environ: dict[str, str] | None = None, /, **settings: Any
) -> Iterator[HubProcess]:
    """A hub with the test fleet, stopped at the end whatever happens."""
    hub = HubProcess(folder, settings, environ=environ or {})
    try:
        hub.start()
        assert hub.enrol().status == 200
        yield hub
    finally:
        hub.hang_up()
        hub.kill()
