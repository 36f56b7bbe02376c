#!/usr/bin/env bash
# A server that refuses a token: 401, and words for the user in the body. What the user of PyPI mcp 2.3.0 is shown:
#   the body is a problem (RFC 9457) or any other JSON    "Server returned an error response", and no status
#   the body is a JSON-RPC error, application/json        its message
# Why it matters: whoever has a wrong token cannot see that it is the token. The words of an HTTP refusal have to be a
# JSON-RPC error, although the request was never dispatched. The TypeScript clients show status or body either way.
set -euo pipefail
folder=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mcp==2.3.0 2>/dev/null
cat >server.py <<'PY'
import http.server, json

WORDS = "the token is not known"
BODIES = {
    "/problem": ("application/problem+json", {"title": "Unauthorized", "status": 401, "detail": WORDS}),
    "/error": ("application/json", {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": WORDS}}),
}


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        kind, body = BODIES[self.path]
        raw = json.dumps(body).encode()
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
print(server.server_port, flush=True)
server.serve_forever()
PY
cat >look.py <<'PY'
import asyncio, sys
from mcp import Client


async def said(path):
    try:
        async with Client(f"http://127.0.0.1:{sys.argv[1]}/{path}"):
            return "connected"
    except Exception as error:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return str(error)


for path in ("problem", "error"):
    print(f"{path}: {asyncio.run(said(path))}")
PY
exec 3< <(exec venv/bin/python server.py)
server=$!
read -r port <&3
seen=$(venv/bin/python look.py "$port")
echo "$seen"
[ "$seen" = "problem: Server returned an error response
error: the token is not known" ] || { echo "this has changed"; exit 1; }
echo "as described"
