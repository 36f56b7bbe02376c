#!/usr/bin/env bash
# PyPI a2a-sdk 1.3.0: `create_client(url)` and `send_message` wait for 5 seconds (httpx's default) and then raise
# A2AClientTimeoutError. A2A's SendMessage by default is answered when the task has ended, so an agent that thinks for
# six seconds is never heard; npm @a2a-js/sdk 1.3.0 waits for it. The agent has the message in both cases.
# Why it matters: the caller takes a delivered message for a failed one and sends it again. A server should answer an open
# task before 5 s are over, and look at `messageId`; a caller should give the client an httpx client of its own, or poll.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check a2a-sdk==1.3.0 2>/dev/null
npm install --silent --no-audit --no-fund --prefix . @a2a-js/sdk@1.3.0
cat >server.py <<'PY'
import http.server
import json
import time


class Agent(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        here = {"url": f"http://{self.headers['Host']}/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        skill = {"id": "think", "name": "think", "description": "Thinks.", "tags": ["test"]}
        card = {"name": "thinker", "description": "Thinks for six seconds.", "version": "1", "capabilities": {}}
        modes = {"defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"]}
        self.answer({**card, **modes, "supportedInterfaces": [here], "skills": [skill]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open("heard", "a") as heard:
            heard.write(request["method"] + "\n")
        time.sleep(6)
        done = {"id": "task-1", "contextId": "context-1", "status": {"state": "TASK_STATE_COMPLETED"}}
        try:
            self.answer({"jsonrpc": "2.0", "id": request["id"], "result": {"task": done}})
        except OSError:
            pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Agent)
with open("port", "w") as port:
    port.write(str(server.server_port))
server.serve_forever()
PY
cat >by_python.py <<'PY'
import asyncio
import sys

from a2a.client import create_client
from a2a.types import Message, Part, Role, SendMessageRequest


async def ask():
    client = await create_client(sys.argv[1])
    message = Message(message_id="m-1", role=Role.ROLE_USER, parts=[Part(text="think")])
    try:
        async for answer in client.send_message(SendMessageRequest(message=message)):
            return f"answered: task {answer.task.id}"
    except Exception as error:
        return type(error).__name__


print(asyncio.run(ask()))
PY
cat >by_node.mjs <<'JS'
import { ClientFactory } from "@a2a-js/sdk/client";
const client = await new ClientFactory().createFromUrl(process.argv[2]);
const message = { messageId: "m-2", role: "ROLE_USER", parts: [{ text: "think" }] };
const answer = await client.sendMessage({ message });
console.log(`answered: task ${(answer.task ?? answer).id ?? JSON.stringify(answer)}`);
JS
venv/bin/python server.py & server=$!
until [ -s port ]; do sleep 0.1; done
base=http://127.0.0.1:$(<port)/
python=$(venv/bin/python by_python.py "$base")
node=$(node by_node.mjs "$base")
printf '%s\n' "a2a-sdk:     $python" "@a2a-js/sdk: $node" "the agent heard: $(paste -sd' ' heard)"
[ "$python $node $(paste -sd' ' heard)" = "A2AClientTimeoutError answered: task task-1 SendMessage SendMessage" ] ||
    { echo "this has changed"; exit 1; }
echo "as described"
