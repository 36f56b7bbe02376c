#!/usr/bin/env bash
# A server that answers tools/list with `"nextCursor": null` for "no more pages" (as many JSON serializers write an absent value):
#   npm @modelcontextprotocol/sdk 1.32.2 and @modelcontextprotocol/client 2.4.0 refuse the whole list
#   PyPI mcp 2.3.0 takes it
# Why it matters: a server tested with the Python client only shows no tools at all to every client on the TypeScript SDKs.
# The schema says string or absent, so the key has to be left out.
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
            "serverInfo": {"name": "plain", "version": "1"},
        }
    elif request["method"] == "tools/list":
        tool = {"name": "inbox", "inputSchema": {"type": "object"}}
        answer["result"] = {"tools": [tool], "nextCursor": None}
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
try {
  console.log((await one.listTools()).tools.map((tool) => tool.name).join());
} catch (error) {
  console.log(/received null/.test(String(error.message)) ? "refused: received null" : String(error));
}
await one.close();
JS
python=$(venv/bin/python by_python.py)
v1=$(node by_node.mjs @modelcontextprotocol/sdk/client/index.js @modelcontextprotocol/sdk/client/stdio.js)
v2=$(node by_node.mjs @modelcontextprotocol/client @modelcontextprotocol/client/stdio)
printf '%s\n' "mcp 2.3.0 (Python): $python" "@modelcontextprotocol/sdk 1.32.2: $v1" "@modelcontextprotocol/client 2.4.0: $v2"
[ "$python" = inbox ] && [ "$v1" = "refused: received null" ] && [ "$v2" = "refused: received null" ] || { echo "this has changed"; exit 1; }
echo "as described"
