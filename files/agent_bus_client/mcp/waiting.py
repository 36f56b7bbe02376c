"""Requests that wait for mail: each in a thread, with a connection that a cancel can close."""

from __future__ import annotations

import contextlib
import threading

from agent_bus_client.errors import HttpError
from agent_bus_mcp.protocol import RpcError

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from agent_bus_client.mcp.node import Node
    from agent_bus_client.net.http1 import Connection
    from agent_bus_mcp.protocol import Request
    from agent_bus_mcp.server import Server

MOST = 8
"""Requests that wait at once; one client needs one. Past it they are answered at once."""


class Waiting:
    """All requests of a client that wait.

    Attributes:
        lost: ids of messages that were fetched for an answer that nobody wanted any more. The next
            page shows them in full.
        writing: held while a line is written.
    """

    def __init__(
        self, server: Server, node: Node, write: Callable[[dict[str, Any]], None]
    ) -> None:
        self.lost: set[str] = set()
        self.writing = threading.Lock()
        self._server = server
        self._node = node
        self._write = write
        self._calls: set[_Waiter] = set()

    @property
    def is_any(self) -> bool:
        """Whether any request waits."""
        return bool(self._calls)

    def start(self, request: Request, wait_s: float) -> None:
        """Answer a request from a thread of its own."""
        call = _Waiter(request, wait_s if len(self._calls) < MOST else 0.0)
        self._calls.add(call)
        threading.Thread(target=self._run, args=(call,), daemon=True).start()

    def cancel(self, request_id: object) -> None:
        """End the request with this id, if it waits; it gets no answer."""
        for call in list(self._calls):
            if call.request.id == request_id and type(call.request.id) is type(request_id):
                call.cancel()

    def cancel_all(self) -> None:
        """End all."""
        for call in list(self._calls):
            call.cancel()

    def _run(self, call: _Waiter) -> None:
        from agent_bus_client.mcp.bus import NodeBus

        def bus() -> NodeBus:
            return NodeBus(self._node, lost=self.lost, wait_s=call.wait_s, opened=call.hold)

        try:
            response, told = self._server.answer(call.request, bus)
        except RpcError as error:
            response, told = error.response, None
        shown = told.shown if told else ()
        with call.deciding:
            call.is_answered = not call.is_cancelled
        if call.is_answered:
            self.lost.difference_update(shown)
            with contextlib.suppress(OSError):  # the client is gone, and stdin has ended or will
                self._write(response)
        else:
            self.lost.update(shown)
        self._calls.discard(call)


class _Waiter:
    """One request that waits."""

    def __init__(self, request: Request, wait_s: float) -> None:
        self.request = request
        self.wait_s = wait_s
        self.is_cancelled = self.is_answered = False
        self.deciding = threading.Lock()
        self._connection: Optional[Connection] = None

    def hold(self, connection: Connection) -> None:
        """Keep the connection, so that a cancel closes it.

        Raises:
            HttpError: the request was cancelled before.
        """
        with self.deciding:
            self._connection = connection
            if self.is_cancelled:
                raise HttpError("cancelled")

    def cancel(self) -> None:
        """End it: the hub sees that the connection is closed, and counts nothing as shown."""
        with self.deciding:
            if self.is_answered:
                return
            self.is_cancelled = True
            connection = self._connection
        if connection is not None:
            connection.close()
