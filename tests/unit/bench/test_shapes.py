"""The benchmark's clients write what the hub's own clients write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from agent_bus_client.hub.transport import HubClient
from agent_bus_client.outbox.delivery import new_key
from bench.peers.shapes import CommandSender, KeySender, ReplySender
from tests.support.patience import patience

if TYPE_CHECKING:
    from bench.peers.web import HttpSender

Sending = Callable[[int], Awaitable[object]]


def heard(sending: Sending, *, requests: int) -> list[tuple[int, str, dict[str, str], bytes]]:
    """What a server hears: the number of the connection, request line, headers, body."""
    found: list[tuple[int, str, dict[str, str], bytes]] = []

    async def listen() -> None:
        connections = 0

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            number = connections
            while True:
                try:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                except asyncio.IncompleteReadError:
                    break
                headers = dict(line.split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(headers["Content-Length"]))
                found.append((number, head[0], headers, body))
                writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            await asyncio.wait_for(sending(server.sockets[0].getsockname()[1]), patience())

    asyncio.run(listen())
    assert len(found) == requests
    return found


def sends(kind: type[HttpSender]) -> Sending:
    async def sending(port: int) -> None:
        client = kind(port, token="t", sender="alpha")
        if isinstance(client, ReplySender):
            client.to, client.reply_to = "gamma", "01M"
        for _ in range(2):
            await client.send("beta", "hello")
        await client.close()

    return sending


def test_the_commands_shape_is_what_the_command_line_writes() -> None:
    async def command(port: int) -> None:
        hub = HubClient(f"http://127.0.0.1:{port}", lambda: "t")
        body = {"from": "alpha", "body": "hello", "to": "beta"}
        headers = {"Idempotency-Key": new_key()}
        await asyncio.to_thread(hub.call, "POST", "/api/send", body=body, headers=headers)

    ((_, line, headers, body),) = heard(command, requests=1)
    first, second = heard(sends(CommandSender), requests=2)
    assert first[1] == line
    assert list(first[2]) == list(headers)
    assert json.loads(first[3]) == json.loads(body)
    changing = {"Host", "Idempotency-Key", "User-Agent"}
    assert {k: v for k, v in first[2].items() if k not in changing} == {
        k: v for k, v in headers.items() if k not in changing
    }
    assert len(first[2]["Idempotency-Key"]) == len(headers["Idempotency-Key"])
    assert first[2]["Idempotency-Key"] != second[2]["Idempotency-Key"]
    assert first[0] != second[0], "each message has a connection of its own"


def test_keys_are_new_and_their_connection_is_kept() -> None:
    first, second = heard(sends(KeySender), requests=2)
    assert first[0] == second[0]
    assert first[2]["Idempotency-Key"] != second[2]["Idempotency-Key"]


def test_a_reply_names_its_message_and_goes_to_who_sent_that() -> None:
    first, _ = heard(sends(ReplySender), requests=2)
    fields = {"from": "alpha", "to": "gamma", "reply_to": "01M", "body": "hello"}
    assert json.loads(first[3]) == fields
