#!/usr/bin/env bash
# A server with its tools on two pages. What "list the tools" of the official clients returns:
#   PyPI mcp 2.3.0                      the first page only (next_cursor is set on the result)
#   npm @modelcontextprotocol/sdk 1.32.2     the first page only (nextCursor is set on the result)
#   npm @modelcontextprotocol/client 2.4.0   both pages
# Why it matters: programs written against the first two seldom look at the cursor, so a tool on page two does not exist for
# them, and after an upgrade of the TypeScript client it suddenly does. A server keeps to one page.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mcp==2.3.0 2>/dev/null
npm install --silent --no-audit --no-fund --prefix . @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0
cat >server.py <<'PY'
import json, sys

for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    if request["method"] == "initialize":
        answer["result"] = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "two-pages", "version": "1"},
        }
    elif request["method"] == "tools/list":
        second = (request.get("params") or {}).get("cursor") == "second"
        tool = {"name": "reply" if second else "inbox", "inputSchema": {"type": "object"}}
        answer["result"] = {"tools": [tool]} if second else {"tools": [tool], "nextCursor": "second"}
    else:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
PY
cat >by_python.py <<'PY'
import asyncio, sys
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client


async def names():
    server = StdioServerParameters(command=sys.executable, args=["server.py"])
    async with Client(stdio_client(server), mode="legacy") as client:
        return [tool.name for tool in (await client.list_tools()).tools]


print(",".join(asyncio.run(names())))
PY
cat >by_node.mjs <<'JS'
const [client, stdio] = process.argv.slice(2);
const { Client } = await import(client);
const { StdioClientTransport } = await import(stdio);
const one = new Client({ name: "look", version: "1" });
await one.connect(new StdioClientTransport({ command: "python3", args: ["server.py"] }));
console.log((await one.listTools()).tools.map((tool) => tool.name).join());
await one.close();
JS
python=$(venv/bin/python by_python.py)
v1=$(node by_node.mjs @modelcontextprotocol/sdk/client/index.js @modelcontextprotocol/sdk/client/stdio.js)
v2=$(node by_node.mjs @modelcontextprotocol/client @modelcontextprotocol/client/stdio)
printf '%s\n' "mcp 2.3.0 (Python): $python" "@modelcontextprotocol/sdk 1.32.2: $v1" "@modelcontextprotocol/client 2.4.0: $v2"
[ "$python/$v1/$v2" = "inbox/inbox/inbox,reply" ] || { echo "this has changed"; exit 1; }
echo "as described"
