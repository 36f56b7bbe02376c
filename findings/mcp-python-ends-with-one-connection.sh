#!/usr/bin/env bash
# A server over HTTP that is away for a moment, as in every restart. One call meets it. What becomes of the client's next call:
#   PyPI mcp 2.3.0                           fails although the server is back: the client has ended
#   npm @modelcontextprotocol/sdk 1.32.2     works
#   npm @modelcontextprotocol/client 2.4.0   works
# Why it matters: calls that wait elsewhere in the same Python client end with it ("Connection closed"), and a program that
# catches the error and tries again never succeeds. It has to make a new client.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mcp==2.3.0 2>/dev/null
npm install --silent --no-audit --no-fund --prefix . @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0
cat >server.py <<'PY'
import http.server, json, sys


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"jsonrpc": "2.0", "id": request.get("id")}
        if request["method"] == "initialize":
            about = {"name": "short-lived", "version": "1"}
            answer["result"] = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": about}
        elif request["method"] == "tools/list":
            answer["result"] = {"tools": [{"name": "send", "inputSchema": {"type": "object"}}]}
        else:
            answer["result"] = {"content": [{"type": "text", "text": "sent"}]}
        raw = json.dumps(answer).encode() if "id" in request else b""
        self.send_response(200 if raw else 202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def do_GET(self):
        self.send_error(405)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Server)
print(server.server_port, flush=True)
server.serve_forever()
PY
cat >by_python.py <<'PY'
import asyncio, os, sys
from mcp import Client


async def main():
    async with Client(f"http://127.0.0.1:{sys.argv[1]}/", mode="legacy") as client:
        await client.list_tools()
        for call in range(3):
            print("ready", flush=True)
            while not os.path.exists(f"{sys.argv[1]}-{call}"):
                await asyncio.sleep(0.05)
            try:
                print((await client.call_tool("send", {})).content[0].text, flush=True)
            except Exception as error:
                print(error, flush=True)


try:
    asyncio.run(main())
except BaseException:
    print("the client has ended", flush=True)
PY
cat >by_node.mjs <<'JS'
import { existsSync } from "node:fs";
const [client, http, port] = process.argv.slice(2);
const { Client } = await import(client);
const { StreamableHTTPClientTransport } = await import(http);
const one = new Client({ name: "look", version: "1" });
await one.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/`)));
for (let call = 0; call < 3; call += 1) {
  console.log("ready");
  while (!existsSync(`${port}-${call}`)) await new Promise((done) => setTimeout(done, 50));
  try {
    console.log((await one.callTool({ name: "send" })).content[0].text);
  } catch (error) {
    console.log(error.message);
  }
}
process.exit(0);
JS
cat >look.py <<'PY'
import subprocess, sys

ENDED = "the client has ended"


def serve(port):
    server = subprocess.Popen([sys.executable, "server.py", str(port)], stdout=subprocess.PIPE, text=True)
    return server, int(server.stdout.readline())


def stop(server):
    server.kill()
    server.wait()


def look(name, argv):
    server, port = serve(0)
    client = subprocess.Popen([*argv, str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    heard = []
    for call, part in enumerate(("there", "away", "back")):
        if (line := client.stdout.readline().strip()) != "ready":
            heard.append(line)
            break
        if part == "away":
            stop(server)
        elif part == "back":
            server, _ = serve(port)
        open(f"{port}-{call}", "w").close()
        said = client.stdout.readline().strip()
        if part != "away" or said == ENDED:
            heard.append(said)
        if said == ENDED:
            break
    stop(server)
    client.kill()
    client.wait()
    print(f"{name}: {', '.join(heard)}")


look("mcp 2.3.0", [sys.executable, "by_python.py"])
v1, v2 = "@modelcontextprotocol/sdk/client", "@modelcontextprotocol/client"
look("@modelcontextprotocol/sdk 1.32.2", ["node", "by_node.mjs", f"{v1}/index.js", f"{v1}/streamableHttp.js"])
look("@modelcontextprotocol/client 2.4.0", ["node", "by_node.mjs", v2, v2])
PY
seen=$(venv/bin/python look.py)
echo "$seen"
[ "$seen" = "mcp 2.3.0: sent, the client has ended
@modelcontextprotocol/sdk 1.32.2: sent, sent
@modelcontextprotocol/client 2.4.0: sent, sent" ] || { echo "this has changed"; exit 1; }
echo "as described"
