#!/usr/bin/env bash
# PyPI a2a-sdk 1.3.0: over HTTP+JSON, a refusal whose ErrorInfo has a reason that A2A does not name loses its words: the
# caller sees "HTTP Error 429: Client error '429 Too Many Requests' for url ...". Over JSON-RPC the same client
# shows them, and npm @a2a-js/sdk 1.3.0 shows them over both. A2A asks for the words, and has no reason for "not now".
# Why it matters: what to do, and when to come again, is in the words. A caller that needs them takes JSON-RPC.
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

WORDS = "Ten requests a minute; come again in 5 s."
INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMITED", "domain": "agent.example"}


class Agent(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = f"http://{self.headers['Host']}"
        bindings = [
            {"url": url, "protocolBinding": binding, "protocolVersion": "1.0"}
            for binding in ("JSONRPC", "HTTP+JSON")
        ]
        skill = {"id": "work", "name": "work", "description": "Works.", "tags": ["test"]}
        card = {"name": "worker", "description": "Is busy.", "version": "1", "capabilities": {}}
        modes = {"defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"]}
        self.answer(200, {**card, **modes, "supportedInterfaces": bindings, "skills": [skill]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/message:send"):
            error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": WORDS, "details": [INFO]}
            self.answer(429, {"error": error})
        else:
            error = {"code": -32090, "message": WORDS, "data": [INFO]}
            self.answer(200, {"jsonrpc": "2.0", "id": request["id"], "error": error})


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Agent)
with open("port", "w") as port:
    port.write(str(server.server_port))
server.serve_forever()
PY
cat >by_python.py <<'PY'
import asyncio
import sys

from a2a.client import ClientConfig, create_client
from a2a.types import Message, Part, Role, SendMessageRequest


async def ask():
    config = ClientConfig(supported_protocol_bindings=[sys.argv[2]])
    client = await create_client(sys.argv[1], client_config=config)
    message = Message(message_id="m-1", role=Role.ROLE_USER, parts=[Part(text="work")])
    try:
        async for _ in client.send_message(SendMessageRequest(message=message)):
            pass
    except Exception as error:
        return str(error).splitlines()[0]


print(asyncio.run(ask()))
PY
cat >by_node.mjs <<'JS'
import { ClientFactory, JsonRpcTransportFactory, RestTransportFactory } from "@a2a-js/sdk/client";
const Transport = process.argv[3] === "JSONRPC" ? JsonRpcTransportFactory : RestTransportFactory;
const client = await new ClientFactory({ transports: [new Transport()] }).createFromUrl(process.argv[2]);
const message = { messageId: "m-1", role: "ROLE_USER", parts: [{ text: "work" }] };
await client.sendMessage({ message }).catch((error) => console.log(error.message));
JS
venv/bin/python server.py & server=$!
until [ -s port ]; do sleep 0.1; done
base=http://127.0.0.1:$(<port)/
seen=""
for binding in JSONRPC HTTP+JSON; do
    for by in "venv/bin/python by_python.py" "node by_node.mjs"; do
        words=$($by "$base" "$binding")
        printf '%-10s %-10s %s\n' "${by%% *}" "$binding" "$words" | sed 's:^venv/bin/::'
        case $words in *"come again in 5 s"*) seen+=" words" ;; *"HTTP Error 429"*) seen+=" hidden" ;; *) seen+=" ?" ;; esac
    done
done
[ "$seen" = " words words hidden words" ] || { echo "this has changed"; exit 1; }
echo "as described"
