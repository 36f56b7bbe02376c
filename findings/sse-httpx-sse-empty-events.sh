#!/usr/bin/env bash
# httpx-sse 0.4.3 hands the caller an event with empty data for a block that has only `id:` or `retry:`.
# The HTML standard (9.2.6) dispatches nothing when the data buffer is empty: such a block only moves the
# client's last event ID or reconnection time. sseclient-py 1.9.0 follows it.
# Why it matters: a server that primes its clients with a block of `retry:` or `id:` makes `json.loads(event.data)`
# raise in every program on httpx-sse. `retry:` and `id:` have to ride in a block that has data.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    httpx-sse==0.4.3 httpx==0.28.1 sseclient-py==1.9.0 2>/dev/null
cat >"$folder/look.py" <<'PY'
import httpx, httpx_sse, sseclient

STREAM = b"retry: 700\n\nid: 5\n\ndata: {}\n\n"


def answer(request):
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=STREAM)


with httpx.Client(transport=httpx.MockTransport(answer)) as client:
    with httpx_sse.connect_sse(client, "GET", "http://127.0.0.1/") as source:
        by_httpx = [(event.id, event.retry, event.data) for event in source.iter_sse()]
by_sseclient = [event.data for event in sseclient.SSEClient([STREAM]).events()]
print("httpx-sse 0.4.3 (id, retry, data):", by_httpx)
print("sseclient-py 1.9.0 (data):", by_sseclient)
assert by_httpx == [("", 700, ""), ("5", None, ""), ("5", None, "{}")], "this has changed"
assert by_sseclient == ["{}"], "this has changed"
PY
"$folder/venv/bin/python" "$folder/look.py"
echo "as described"
