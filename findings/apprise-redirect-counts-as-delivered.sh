#!/usr/bin/env bash
# apprise 2.3.0 (PyPI): a notification that is answered by a redirect counts as delivered, though it went nowhere.
# Redirects are followed by default. The POST becomes a GET without a body, as browsers do it, so a proxy that sends strangers to
# a login page swallows every notification, and `notify()` is true. With `http_redirects=False` on the asset it is false.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apprise==2.3.0 2>/dev/null
cat >"$folder/look.py" <<'PY'
import http.server
import threading

import apprise

asked = []


class Gate(http.server.BaseHTTPRequestHandler):
    """Sends whoever posts to its login page."""

    def answer(self, status, **headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "2"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        asked.append("POST")
        self.answer(302, Location="/login")

    def do_GET(self):
        asked.append("GET")
        self.answer(200)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Gate)
threading.Thread(target=server.serve_forever, daemon=True).start()
seen = {}
for scheme in ("ntfy", "json", "gotify"):
    for redirects in (True, False):
        asked.clear()
        asset = apprise.AppriseAsset(http_redirects=redirects, storage_mode="memory")
        service = apprise.Apprise(asset=asset)
        service.add(f"{scheme}://127.0.0.1:{server.server_port}/topic")
        taken = bool(service.notify(title="disk", body="is full"))
        print(f"{scheme}, redirects {'followed' if redirects else 'refused'}: {asked}, taken: {taken}")
        seen[scheme, redirects] = (list(asked), taken)
for scheme in ("ntfy", "json", "gotify"):
    assert seen[scheme, True] == (["POST", "GET"], True), "this has changed"
    assert seen[scheme, False] == (["POST"], False), "this has changed"
PY
"$folder/venv/bin/python" "$folder/look.py"
echo "as described"
