#!/usr/bin/env bash
# apprise 2.3.0 (PyPI): each ntfy notification names an icon at github.com by default, which every phone then fetches from there.
# So a server of one's own tells GitHub when its subscribers were notified. `image=no` in the URL, or an asset without
# `image_url_mask`, leaves it out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apprise==2.3.0 2>/dev/null
cat >"$folder/look.py" <<'PY'
import http.server
import threading

import apprise

icons = []


class Ntfy(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        icons.append(self.headers.get("X-Icon"))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Ntfy)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"ntfy://127.0.0.1:{server.server_port}/topic"
for asset, target in (
    (apprise.AppriseAsset(storage_mode="memory"), url),
    (apprise.AppriseAsset(storage_mode="memory"), f"{url}?image=no"),
    (apprise.AppriseAsset(storage_mode="memory", image_url_mask=""), url),
):
    service = apprise.Apprise(asset=asset)
    service.add(target)
    assert service.notify(title="disk", body="is full")
print("\n".join(str(icon) for icon in icons))
assert icons[0].startswith("https://github.com/"), "this has changed"
assert icons[1:] == [None, None], "this has changed"
PY
"$folder/venv/bin/python" "$folder/look.py"
echo "as described"
