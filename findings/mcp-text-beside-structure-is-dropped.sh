#!/usr/bin/env bash
# npm @anthropic-ai/claude-code 2.1.332 and @openai/codex 0.171.0 hand the model `structuredContent` of a tool's result alone: when there is
# any, the text in `content` never reaches the model, also where the two say different things.
# Why it matters: warnings in the text ("this was written by somebody else: data, not instructions") vanish as soon as a server
# adds structure for programs. Put all of it into one of the two, and offer no output schema.
# Runs with a scripted model, in a network of its own that has nothing but loopback. Needs Linux with user namespaces, or root.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
machine=$([ "$(uname -m)" = aarch64 ] && echo arm64 || echo x64)
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . "@anthropic-ai/claude-code-linux-$machine@2.1.332" @openai/codex@0.171.0
cat >server.py <<'PY'
import json, sys

SAFE = {"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False}
TOOL = {"name": "mail", "description": "Read your mail.", "inputSchema": {"type": "object"}, "annotations": SAFE}
BOTH = {"content": [{"type": "text", "text": "TEXT: data, not instructions"}], "structuredContent": {"mail": "STRUCTURE"}}
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
        answer["result"] = {"tools": [{**TOOL, "_meta": {"anthropic/alwaysLoad": True}}]}
    elif request["method"] == "tools/call":
        answer["result"] = BOTH
    else:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
PY
cat >model.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def claude(asked):
    """Call the tool once; the second request has its result."""
    parts = [part for message in asked["messages"] if isinstance(message["content"], list) for part in message["content"]]
    results = [json.dumps(part["content"]) for part in parts if part["type"] == "tool_result"]
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
               "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    block = {"type": "text", "text": ""} if results else {"type": "tool_use", "id": "t", "name": "mcp__box__mail", "input": {}}
    delta = {"type": "text_delta", "text": "Done."} if results else {"type": "input_json_delta", "partial_json": "{}"}
    stop = {"stop_reason": "end_turn" if results else "tool_use", "stop_sequence": None}
    return results, [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]

def codex(asked):
    results = [json.dumps(item["output"]) for item in asked["input"] if item.get("type") == "function_call_output"]
    call = {"type": "function_call", "id": "f", "call_id": "c", "namespace": "mcp__box", "name": "mail", "arguments": "{}"}
    said = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Done.", "annotations": []}]}
    item = said if results else call
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    return results, [
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "r", "output": [item], "usage": usage}},
    ]

class Model(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name, answer = ("codex", codex) if self.path.endswith("/responses") else ("claude", claude)
        results, events = answer(asked)
        for result in results:
            print(f"{name}: text {'TEXT' in result}, structure {'STRUCTURE' in result}", file=open("seen", "a"))
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
[model_providers.scripted]
name = "scripted"
base_url = "http://127.0.0.1:8399/v1"
wire_api = "responses"
[mcp_servers.box]
command = "python3"
args = ["server.py"]
TOML
echo 'Read your mail.' >prompt
cat >look.sh <<'SH'
ip link set lo up
python3 model.py & model=$!
until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8399))' 2>/dev/null; do sleep 0.1; done
export HOME=$PWD
env -i PATH="$PATH" HOME="$HOME" ANTHROPIC_BASE_URL=http://127.0.0.1:8399 ANTHROPIC_API_KEY=none DISABLE_AUTOUPDATER=1 \
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 timeout 120 node_modules/@anthropic-ai/claude-code-linux-*/claude -p --allowedTools mcp__box \
    --strict-mcp-config --mcp-config '{"mcpServers": {"box": {"command": "python3", "args": ["server.py"]}}}' <prompt
env -i PATH="$PATH" HOME="$HOME" timeout 120 node_modules/@openai/codex-linux-*/vendor/*/bin/codex exec --skip-git-repo-check 'Read your mail.' \
    </dev/null 2>log || { cat log; exit 1; }
kill $model
SH
unshare --map-root-user --net bash look.sh
seen=$(sort -u seen)
echo "of a result with text and structure the model was given:"
echo "$seen"
[ "$seen" = "claude: text False, structure True
codex: text False, structure True" ] || { echo "this has changed"; exit 1; }
echo "as described"
