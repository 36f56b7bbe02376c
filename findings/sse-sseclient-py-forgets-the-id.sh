#!/usr/bin/env bash
# sseclient-py 1.9.0 knows an event's ID only when that event's own block has an `id:` line.
# The HTML standard keeps the last event ID over blocks: an event without an `id:` line has the ID of the one before it,
# and a block with only an `id:` line moves it. httpx-sse 0.4.3 does both.
# Why it matters: a program that stores `event.id` after each event and sends it as Last-Event-ID loses its place as soon as
# an event without an ID of its own (a notice, a keepalive event) has come: it stores None.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    httpx-sse==0.4.3 httpx==0.28.1 sseclient-py==1.9.0 2>/dev/null
cat >"$folder/look.py" <<'PY'
import httpx, httpx_sse, sseclient

STREAM = b"id: 5\ndata: a message\n\nevent: notice\ndata: about it\n\nid: 6\n\nevent: notice\ndata: more\n\n"


def answer(request):
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=STREAM)


with httpx.Client(transport=httpx.MockTransport(answer)) as client:
    with httpx_sse.connect_sse(client, "GET", "http://127.0.0.1/") as source:
        by_httpx = [event.id for event in source.iter_sse() if event.data]
by_sseclient = [event.id for event in sseclient.SSEClient([STREAM]).events()]
print("httpx-sse 0.4.3:", by_httpx)
print("sseclient-py 1.9.0:", by_sseclient)
assert by_httpx == ["5", "5", "6"], "this has changed"
assert by_sseclient == ["5", None, None], "this has changed"
PY
"$folder/venv/bin/python" "$folder/look.py"
echo "as described"
