#!/usr/bin/env bash
# The base URL of an agent whose card lies below a path, .../a2a/bob/.well-known/agent-card.json, given as ".../a2a/bob":
#   npm @a2a-js/sdk 1.3.0   drops the last segment (it resolves by URL rules): asks for /a2a/.well-known/agent-card.json
#   PyPI a2a-sdk 1.3.0      keeps it: asks for /a2a/bob/.well-known/agent-card.json
# With a slash at the end both ask for bob's card.
# Why it matters: on a server with a card per agent the same configured address works in Python and is 404 in JavaScript, or
# is another agent's card if the parent folder serves one.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check a2a-sdk==1.3.0 2>/dev/null
npm install --silent --no-audit --no-fund --prefix . @a2a-js/sdk@1.3.0
cat >server.py <<'PY'
import http.server


class Server(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        with open("asked", "a") as asked:
            asked.write(self.path + "\n")
        self.send_error(404)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
with open("port", "w") as port:
    port.write(str(server.server_port))
server.serve_forever()
PY
cat >by_python.py <<'PY'
import asyncio, sys
import httpx
from a2a.client import A2ACardResolver, AgentCardResolutionError


async def ask():
    async with httpx.AsyncClient() as client:
        try:
            await A2ACardResolver(client, sys.argv[1]).get_agent_card()
        except AgentCardResolutionError:
            pass


asyncio.run(ask())
PY
cat >by_node.mjs <<'JS'
import { DefaultAgentCardResolver } from "@a2a-js/sdk/client";
await new DefaultAgentCardResolver().resolve(process.argv[2]).catch(() => {});
JS
venv/bin/python server.py & server=$!
until [ -s port ]; do sleep 0.1; done
base=http://127.0.0.1:$(<port)/a2a/bob
venv/bin/python by_python.py "$base"
node by_node.mjs "$base"
venv/bin/python by_python.py "$base/"
node by_node.mjs "$base/"
paste -d' ' <(printf '%s\n' "a2a-sdk, /a2a/bob: " "@a2a-js/sdk, /a2a/bob: " "a2a-sdk, /a2a/bob/: " "@a2a-js/sdk, /a2a/bob/: ") asked
card=.well-known/agent-card.json
[ "$(paste -sd' ' asked)" = "/a2a/bob/$card /a2a/$card /a2a/bob/$card /a2a/bob/$card" ] || { echo "this has changed"; exit 1; }
echo "as described"
