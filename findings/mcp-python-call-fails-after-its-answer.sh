#!/usr/bin/env bash
# PyPI mcp 2.3.0: after a call of a tool that it has not listed yet, the client sends a tools/list of its own and returns the
# call's result only when that is answered, too. If tools/list fails, `call_tool` raises, although the server has
# carried the call out and answered it.
# Why it matters: a "send" that succeeded looks failed, and the program sends again. List the tools once before the first call, and make
# what a tool does idempotent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mcp==2.3.0 2>/dev/null
cat >server.py <<'PY'
import json, sys

lists = sys.argv[1] == "lists"
stamped = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    method = request["method"]
    with open("heard", "a") as heard:
        heard.write(method + "\n")
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    if method == "server/discover":
        answer["result"] = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, **stamped}
    elif method == "tools/call":
        answer["result"] = {"content": [{"type": "text", "text": "sent"}], "resultType": "complete"}
    elif method == "tools/list" and lists:
        answer["result"] = {"tools": [{"name": "send", "inputSchema": {"type": "object"}}], **stamped}
    else:
        answer["error"] = {"code": -32603, "message": "not now"}
    print(json.dumps(answer), flush=True)
PY
cat >look.py <<'PY'
import asyncio, sys
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main(how):
    open("heard", "w").close()
    server = StdioServerParameters(command=sys.executable, args=["server.py", how])
    async with Client(stdio_client(server)) as client:
        try:
            word = (await client.call_tool("send", {})).content[0].text
        except Exception as error:
            word = f"raised {type(error).__name__}: {error}"
    print(f"{how}: {word}; the server heard {', '.join(open('heard').read().split())}")


asyncio.run(main("lists"))
asyncio.run(main("cannot list"))
PY
seen=$(venv/bin/python look.py)
echo "$seen"
[ "$seen" = "lists: sent; the server heard server/discover, tools/call, tools/list
cannot list: raised MCPError: not now; the server heard server/discover, tools/call, tools/list" ] || { echo "this has changed"; exit 1; }
echo "as described"
