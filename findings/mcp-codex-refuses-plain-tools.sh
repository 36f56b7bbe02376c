#!/usr/bin/env bash
# npm @openai/codex 0.171.0 with `approval_policy = "never"`, as `codex exec` is used by programs, refuses each tool of an MCP server that has no
# annotations: "MCP tool call requires approval, but approval policy is never". With `destructiveHint: false` and
# `openWorldHint: false` the same tool runs.
# Why it matters: annotations are optional in MCP and "hints"; here they decide whether an agent can use the server at all.
# Runs with a scripted model, in a network of its own that has nothing but loopback. Needs Linux with user namespaces, or root.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @openai/codex@0.171.0
cat >server.py <<'PY'
import json, sys

def tool(name, **more):
    return {"name": name, "description": "Read your mail.", "inputSchema": {"type": "object"}, **more}

HARMLESS = {"readOnlyHint": False, "destructiveHint": False, "openWorldHint": False}
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
        answer["result"] = {"tools": [tool("plain"), tool("marked", annotations=HARMLESS)]}
    elif request["method"] == "tools/call":
        answer["result"] = {"content": [{"type": "text", "text": "no mail"}]}
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
        results = [json.dumps(item["output"]) for item in asked["input"] if item.get("type") == "function_call_output"]
        names = ["plain", "marked"]
        with open("seen", "w") as seen:
            for name, result in zip(names, results):
                refused = "requires approval, but approval policy is never" in result
                print(f"{name}: {'refused' if refused else 'ran' if 'no mail' in result else result}", file=seen)
        said = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Done.", "annotations": []}]}
        item = said
        if len(results) < len(names):
            item = {"type": "function_call", "id": "f", "call_id": f"c{len(results)}", "namespace": "mcp__box",
                    "name": names[len(results)], "arguments": "{}"}
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        events = [
            {"type": "response.created", "response": {"id": "r"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "r", "output": [item], "usage": usage}},
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
mkdir .codex
cat >.codex/config.toml <<'TOML'
model = "scripted"
model_provider = "scripted"
approval_policy = "never"
sandbox_mode = "workspace-write"
[model_providers.scripted]
name = "scripted"
base_url = "http://127.0.0.1:8399/v1"
wire_api = "responses"
[mcp_servers.box]
command = "python3"
args = ["server.py"]
TOML
cat >look.sh <<'SH'
ip link set lo up
python3 model.py & model=$!
until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8399))' 2>/dev/null; do sleep 0.1; done
env -i PATH="$PATH" HOME="$PWD" timeout 120 node_modules/@openai/codex-linux-*/vendor/*/bin/codex exec --skip-git-repo-check 'Read your mail.' \
    </dev/null 2>log || { cat log; exit 1; }
kill $model
SH
unshare --map-root-user --net bash look.sh
cat seen
[ "$(cat seen)" = "plain: refused
marked: ran" ] || { echo "this has changed"; exit 1; }
echo "as described"
