"""What becomes of a waiting request that is cancelled, whenever that is."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus_client.errors import HttpError
from agent_bus_client.mcp.node import Node
from agent_bus_client.mcp.options import Options
from agent_bus_client.mcp.waiting import MOST, Waiting, _Waiter
from agent_bus_mcp.caller import Told
from agent_bus_mcp.protocol import Request, RpcError
from agent_bus_mcp.server import Server
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus_mcp.caller import Bus


class SlowServer(Server):
    """A server whose answer comes when the test lets it."""

    def __init__(self) -> None:
        super().__init__(version="1", instructions=str)
        self.may_answer = threading.Event()
        self.error: RpcError | None = None

    def answer(self, request: Request, bus: Callable[[], Bus]) -> tuple[dict[str, Any], Told]:
        assert bus is not None
        assert self.may_answer.wait(patience())
        if self.error is not None:
            raise self.error
        return {"id": request.id}, Told("a page", ("m1", "m2"))


class Client:
    def __init__(self) -> None:
        self.server = SlowServer()
        self.written: queue.Queue[dict[str, Any]] = queue.Queue()
        self.waiting = Waiting(self.server, Node(Options()), self.written.put)

    def start(self, request_id: str | int) -> None:
        self.waiting.start(Request(request_id, "tools/call", {}), 50.0)

    def finish(self) -> None:
        self.server.may_answer.set()
        wait_until(lambda: not self.waiting.is_any, "no request waits")


def test_an_answer_is_written_and_shows_what_had_been_lost() -> None:
    client = Client()
    client.waiting.lost = {"m1", "m9"}
    client.start(0)
    client.finish()
    assert client.written.get_nowait() == {"id": 0}
    assert client.waiting.lost == {"m9"}


def test_what_was_fetched_for_a_cancelled_request_counts_as_lost() -> None:
    client = Client()
    client.start(0)
    client.start("0")
    client.waiting.cancel(0)
    client.waiting.cancel(False)
    client.finish()
    assert client.written.get_nowait() == {"id": "0"}
    assert client.written.empty()


def test_only_the_named_request_is_cancelled_and_its_page_is_kept_in_mind() -> None:
    client = Client()
    client.start(7)
    client.waiting.cancel(7)
    client.waiting.cancel(8)
    client.finish()
    assert client.written.empty()
    assert client.waiting.lost == {"m1", "m2"}


def test_an_error_is_written_too() -> None:
    client = Client()
    client.server.error = RpcError(-32602, "no", request_id=3)
    client.start(3)
    client.finish()
    assert client.written.get_nowait()["error"]["code"] == -32602


def test_a_connection_of_a_cancelled_request_is_not_used() -> None:
    call = _Waiter(Request(1, "tools/call", {}), 50.0)
    call.cancel()
    with pytest.raises(HttpError):
        call.hold(None)  # type: ignore[arg-type]  # what there is to hold does not matter


def test_past_a_few_requests_none_waits() -> None:
    client = Client()
    for number in range(MOST + 1):
        client.start(number)
    waits = sorted(call.wait_s for call in client.waiting._calls)
    assert waits == [0.0] + [50.0] * MOST
    client.waiting.cancel_all()
    client.finish()
    assert client.written.empty()
