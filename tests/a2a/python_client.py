"""a2a-sdk's client, led step by step: tests/support/a2a_clients.py starts it.

The first argument is an order (JSON): the agent's base URL, headers, and the binding. Each line of
standard input is a step, each line of standard output what came of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.types import a2a_pb2 as a2a
from google.protobuf.json_format import MessageToDict


def message(step: dict[str, Any]) -> Any:
    parts = [a2a.Part(text=step["text"])]
    more = {name: step[name] for name in ("context_id", "task_id") if name in step}
    return a2a.Message(message_id=step["message_id"], role=a2a.ROLE_USER, parts=parts, **more)


async def send(client: Client, step: dict[str, Any]) -> Any:
    configuration = a2a.SendMessageConfiguration(return_immediately=not step.get("waits"))
    request = a2a.SendMessageRequest(message=message(step), configuration=configuration)
    found = [answer async for answer in client.send_message(request)]
    assert len(found) == 1, found
    return MessageToDict(found[0].task)


async def carried_out(client: Client, card: Any, step: dict[str, Any]) -> Any:
    match step["do"]:
        case "card":
            return MessageToDict(card)
        case "send":
            return await send(client, step)
        case "get":
            return MessageToDict(await client.get_task(a2a.GetTaskRequest(id=step["id"])))
        case "list":
            request = a2a.ListTasksRequest(context_id=step["context_id"], include_artifacts=True)
            return MessageToDict(await client.list_tasks(request))
        case "cancel":
            return MessageToDict(await client.cancel_task(a2a.CancelTaskRequest(id=step["id"])))
    raise ValueError(step)


async def main() -> None:
    order = json.loads(sys.argv[1])
    async with httpx.AsyncClient(headers=order["headers"]) as http:
        card = await A2ACardResolver(http, order["url"]).get_agent_card()
        config = ClientConfig(
            httpx_client=http, supported_protocol_bindings=[order["binding"]], streaming=True
        )
        client = ClientFactory(config).create(card)
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                said = {"result": await carried_out(client, card, json.loads(line))}
            except Exception as error:  # noqa: BLE001 - what a user of the client sees
                said = {"error": {"name": type(error).__name__, "message": str(error)}}
            print(json.dumps(said), flush=True)


asyncio.run(main())
