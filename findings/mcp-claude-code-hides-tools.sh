#!/usr/bin/env bash
# npm @anthropic-ai/claude-code 2.1.332 does not show the tools of an MCP server to its model: the first request has none of them, and the
# model has to find them by a tool called ToolSearch. A tool listed with `_meta: {"anthropic/alwaysLoad": true}` is shown at once.
# Why it matters: an agent that is told "read your mail" by a tool that it has never seen may not think of looking for it. The key
# is no part of MCP: servers for agents have to know it.
# Runs with a scripted model, in a network of its own that has nothing but loopback. Needs Linux with user namespaces, or root.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
machine=$([ "$(uname -m)" = aarch64 ] && echo arm64 || echo x64)
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . "@anthropic-ai/claude-code-linux-$machine@2.1.332"
cat >server.py <<'PY'
import json, sys

def tool(name, **more):
    return {"name": name, "description": f"Read your {name}.", "inputSchema": {"type": "object"}, **more}

TOOLS = [tool("mail"), tool("post", _meta={"anthropic/alwaysLoad": True})]
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    if request["method"] == "initialize":
        answer["result"] = {
            "protocolVersion": request["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "box", "version": "1"},
        }
    elif request["method"] == "tools/list":
        answer["result"] = {"tools": TOOLS}
    else:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
PY
cat >model.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Model(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        names = sorted(tool["name"] for tool in asked.get("tools", []) if "name" in tool)
        print(*[name for name in names if "mcp__box" in name or name == "ToolSearch"], file=open("shown", "a"))
        message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
                   "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
        events = [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Done."}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in events:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", 8399), Model).serve_forever()
PY
echo 'Read your mail.' >prompt
cat >look.sh <<'SH'
ip link set lo up
python3 model.py & model=$!
until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8399))' 2>/dev/null; do sleep 0.1; done
env -i PATH="$PATH" HOME="$PWD" ANTHROPIC_BASE_URL=http://127.0.0.1:8399 ANTHROPIC_API_KEY=none DISABLE_AUTOUPDATER=1 \
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 timeout 120 node_modules/@anthropic-ai/claude-code-linux-*/claude -p \
    --strict-mcp-config --mcp-config '{"mcpServers": {"box": {"command": "python3", "args": ["server.py"]}}}' <prompt
kill $model
SH
unshare --map-root-user --net bash look.sh
seen=$(head -n 1 shown)
echo "of the tools mail and post, the model was shown: $seen"
[ "$seen" = "ToolSearch mcp__box__post" ] || { echo "this has changed"; exit 1; }
echo "as described"
