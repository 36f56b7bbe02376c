"""Reads requests from stdin, line by line, and writes answers to stdout, each at once.

One thread reads and answers in order. An inbox that waits for mail has a thread of its own, so
that other requests go on; the client's cancel ends it, and so does the end of stdin.
"""

from __future__ import annotations

import os

from agent_bus_client import release
from agent_bus_client.mcp import identity
from agent_bus_mcp import protocol, table
from agent_bus_mcp.protocol import RpcError
from agent_bus_mcp.server import Server, called

TYPE_CHECKING = False  # without `typing`, the start is a quarter shorter
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from agent_bus_client.mcp.bus import NodeBus
    from agent_bus_client.mcp.node import Node
    from agent_bus_client.mcp.options import Options
    from agent_bus_client.mcp.waiting import Waiting
    from agent_bus_mcp.protocol import Request

LINE_BYTES = 4 * 1024 * 1024  # a body has 64 KiB at most, and each byte 6 characters of JSON
READ_BYTES = 64 * 1024


class Stdio:
    """One client's server."""

    def __init__(self, server: Server, options: Options, *, in_fd: int, out_fd: int) -> None:
        self._server = server
        self._options = options
        self._in = in_fd
        self._out = out_fd
        self._is_initialized = False
        self._node: Node | None = None
        self._waiting: Waiting | None = None

    @classmethod
    def of(cls, options: Options, *, in_fd: int, out_fd: int) -> Stdio:
        """Return the server for the options of a command line."""
        server = Server(
            version=release.current(), instructions=lambda: identity.instructions(options)
        )
        return cls(server, options, in_fd=in_fd, out_fd=out_fd)

    @property
    def is_waiting(self) -> bool:
        """Whether a thread still waits for a hub."""
        return self._waiting is not None and self._waiting.is_any

    def serve(self) -> None:
        """Answer until the client ends its side."""
        try:
            for line in self._lines():
                self._take(line)
        except OSError:
            pass  # the client takes no answers any more, or there is no stdin at all
        finally:
            if self._waiting is not None:
                self._waiting.cancel_all()

    def _lines(self) -> Iterator[bytes]:
        """Yield each line; of one that is too long, its beginning, which is not JSON."""
        buffer, is_skipping = b"", False
        while True:
            more = os.read(self._in, READ_BYTES)
            if not more:
                break
            *lines, rest = (buffer + more).split(b"\n") if b"\n" in more else [buffer + more]
            for line in lines:
                if not is_skipping:
                    yield line
                is_skipping = False
            buffer = rest
            if len(buffer) > LINE_BYTES:
                if not is_skipping:
                    self._write(_too_long().response)
                buffer, is_skipping = b"", True
        if buffer and not is_skipping:
            yield buffer

    def _take(self, line: bytes) -> None:
        """Answer one line, if it wants an answer."""
        if not line.strip():
            return
        try:
            request = protocol.read(protocol.decode(line))
            if request is None:
                return
            if request.id is None:
                self._hear(request)
            else:
                self._answer(request)
        except RpcError as error:
            self._write(error.response)

    def _hear(self, notification: Request) -> None:
        """Take a notification; only a cancel means anything here."""
        if notification.method == "notifications/cancelled" and self._waiting is not None:
            self._waiting.cancel(notification.params.get("requestId"))

    def _answer(self, request: Request) -> None:
        """Answer a request, now or from a thread.

        Raises:
            RpcError: it is answered with this.
        """
        if request.method == "initialize":
            self._is_initialized = True
        elif not (self._is_initialized or request.is_modern or request.method == "ping"):
            protocol.check_meta(request)  # raises: nothing says which version this is
        wait_s = _wait_s(request)
        if wait_s and self._can_wait():
            self._waits().start(request, wait_s)
            return
        response, told = self._server.answer(request, self._bus)
        self._write(response)
        if told.shown and self._waiting is not None:
            self._waiting.lost.difference_update(told.shown)

    def _bus(self) -> NodeBus:
        from agent_bus_client.mcp.bus import NodeBus

        return NodeBus(self._known(), lost=self._waiting.lost if self._waiting else ())

    def _known(self) -> Node:
        if self._node is None:
            import logging

            from agent_bus_client.mcp.node import Node

            # what the outbox logs is for the watcher's journal, not for a client's stderr
            logging.getLogger("agent_bus_client").addHandler(logging.NullHandler())
            self._node = Node(self._options)
        return self._node

    def _can_wait(self) -> bool:
        """Tell whether what that needs can be loaded; else the tool says why not."""
        try:
            self._waits()
        except ImportError:
            return False
        return True

    def _waits(self) -> Waiting:
        if self._waiting is None:
            from agent_bus_client.mcp.waiting import Waiting

            self._waiting = Waiting(self._server, self._known(), self._write)
        return self._waiting

    def _write(self, message: dict[str, Any]) -> None:
        """Write one message; a line as a whole, also when two threads have one."""
        line = protocol.encode(message) + b"\n"
        if self._waiting is None:
            _write_all(self._out, line)
        else:
            with self._waiting.writing:
                _write_all(self._out, line)


def _wait_s(request: Request) -> float:
    """Return how long a request asks to wait for mail; 0 for all that is answered at once."""
    if request.method != "tools/call" or request.params.get("name") != "inbox":
        return 0.0
    _, arguments = called(request)
    wait_s = arguments.get("wait_s")
    if isinstance(wait_s, bool) or not isinstance(wait_s, (int, float)):
        return 0.0
    return float(wait_s) if 0 < wait_s <= table.MOST_WAIT_S else 0.0


def _too_long() -> RpcError:
    return RpcError(protocol.PARSE_ERROR, f"a line may have {LINE_BYTES} bytes")


def _write_all(fd: int, line: bytes) -> None:
    while line:
        line = line[os.write(fd, line) :]
