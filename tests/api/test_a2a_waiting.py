"""Who waits for an A2A answer: as many as may poll, and no longer than the client is there."""

from __future__ import annotations

import functools
import json
import select
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.a2a import Asker
from tests.support.hub import running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.hub import HubProcess


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub that gives each token one place: whoever waits keeps all others of it out."""
    with running(tmp_path, streams_per_token=1) as one:
        yield one


def asking(hub: HubProcess, body: str) -> socket.socket:
    """A client of delta's that has asked alpha, and waits."""
    message = {"messageId": body, "role": "ROLE_USER", "parts": [{"text": body}]}
    request: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage"}
    payload = json.dumps({**request, "params": {"message": message}})
    client = socket.create_connection(("127.0.0.1", hub.port), patience())
    client.sendall(
        f"POST /a2a/alpha HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer token-n3\r\n"
        f"A2A-Version: 1.0\r\nContent-Length: {len(payload)}\r\n\r\n{payload}".encode()
    )
    return client


def is_free(hub: HubProcess) -> bool:
    """Whether the one place of delta's token is free."""
    return hub.client("n3").get("/api/inbox?agent=delta&wait_s=0.01").status == 200


def is_answered(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])


def is_settled(hub: HubProcess, client: socket.socket) -> bool:
    return is_answered(client) or not is_free(hub)


def held(hub: HubProcess, body: str) -> socket.socket:
    """A client that waits; asked again where it was answered before that was seen."""
    while True:
        client = asking(hub, body)
        wait_until(functools.partial(is_settled, hub, client), "it waits, or is answered")
        if not is_answered(client):
            return client
        client.close()


def test_who_finds_no_place_to_wait_is_answered_the_open_task(narrow: HubProcess) -> None:
    stream = narrow.stream("n3")
    stream.of_type("hello")
    made = Asker(narrow.client("n3"), "alpha").send("no room", waits=True)
    assert made["status"]["state"] == "TASK_STATE_SUBMITTED"
    stream.close()


def test_who_hangs_up_waits_no_longer_and_loses_nothing(narrow: HubProcess) -> None:
    client = held(narrow, "anybody?")
    client.close()
    wait_until(lambda: is_free(narrow), "its place is free")
    (task,) = Asker(narrow.client("n3"), "alpha").call("ListTasks", {"pageSize": 1})["tasks"]
    reply = {"from": "alpha", "to": "delta", "reply_to": task["id"]}
    narrow.client("n1").send("here", **reply)
    (answer,) = narrow.client("n3").get("/api/inbox?agent=delta").body["messages"]
    assert (answer["body"], answer["fetch_count"]) == ("here", 0)


def test_a_hub_that_stops_answers_who_waits(narrow: HubProcess) -> None:
    client = held(narrow, "still there?")
    assert narrow.stop() == 0
    answer = b""
    while part := client.recv(65536):
        answer += part
    client.close()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["result"]["task"]["id"]
    narrow.start()
