"""The official MCP client in Python (PyPI mcp), led step by step; runs in a venv of its own.

    python_client.py '{"server": {"command": [...], "env": {}}, "mode": "auto", "timeout_s": 60}'

The server is a command, or {"url": ..., "headers": {}}. The first line printed says whether the
client is connected. Then each line of stdin is a step, all run at once, and each result a line:

    {"step": 1, "do": "list"}
    {"step": 2, "do": "call", "tool": "inbox", "arguments": {"wait_s": 50}}
    {"step": 3, "do": "cancel", "of": 2}
    {"step": 4, "do": "ask", "method": "no/such", "params": {}}

The end of stdin closes the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import Request, Result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


@contextlib.asynccontextmanager
async def connected(order: dict[str, Any]) -> AsyncIterator[Client]:
    server, timeout_s = order["server"], order["timeout_s"]
    async with contextlib.AsyncExitStack() as stack:
        if "url" in server:
            web = httpx2.AsyncClient(headers=server["headers"], timeout=timeout_s, trust_env=False)
            await stack.enter_async_context(web)
            place: Any = streamable_http_client(server["url"], http_client=web)
        else:
            command, *rest = server["command"]
            place = StdioServerParameters(command=command, args=rest, env=server["env"])
        client = Client(place, mode=order["mode"], read_timeout_seconds=timeout_s)
        yield await stack.enter_async_context(client)


async def carried_out(client: Client, step: dict[str, Any]) -> Any:
    if step["do"] == "list":
        listed = await client.list_tools()
        return listed.model_dump(by_alias=True, mode="json", exclude_none=True)
    if step["do"] == "call":
        called = await client.call_tool(step["tool"], step["arguments"])
        return called.model_dump(by_alias=True, mode="json", exclude_none=True)
    request = Request[dict[str, Any], str](method=step["method"], params=step["params"])
    return (await client.session.send_request(request, Result)).model_dump(mode="json")


async def work(client: Client, step: dict[str, Any]) -> None:
    try:
        say(step=step["step"], result=await carried_out(client, step))
    except MCPError as error:
        say(step=step["step"], error={"code": error.code, "message": error.message})
    except asyncio.CancelledError:
        say(step=step["step"], cancelled=True)
        raise
    except Exception as error:  # noqa: BLE001 - whatever a client raises is a result here
        say(step=step["step"], error={"code": None, "message": f"{type(error).__name__}: {error}"})


async def lead(client: Client) -> None:
    steps = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(steps)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    running: dict[int, asyncio.Task[None]] = {}
    while line := await steps.readline():
        step = json.loads(line)
        if step["do"] == "cancel":
            running[step["of"]].cancel()
            say(step=step["step"], result=None)
        else:
            running[step["step"]] = asyncio.create_task(work(client, step))


async def main() -> None:
    order = json.loads(sys.argv[1])
    is_connected = False
    try:
        async with connected(order) as client:
            is_connected = True
            say(connected=True)
            await lead(client)
    except Exception as error:  # noqa: BLE001 - as above
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        words = f"{type(cause).__name__}: {cause}"
        say(**({"closed": words} if is_connected else {"failed": words}))
    else:
        say(closed=True)


asyncio.run(main())
