#!/usr/bin/env bash
# A stream that is cut in the middle of an event: three Python clients do three different things.
# The HTML standard (9.2.6) says that an event without its blank line is discarded at the end of the stream.
#   httpx-sse 0.4.3            discards it
#   sseclient-py 1.9.0         delivers the half as an event of its own
#   aiohttp-sse-client2 0.3.0  keeps the half, connects again, and puts it in front of the next event's data
# Why it matters: a server that dies while it writes gives two of them a message that nobody sent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    httpx-sse==0.4.3 httpx==0.28.1 sseclient-py==1.9.0 requests==2.32.5 aiohttp-sse-client2==0.3.0 2>/dev/null
cat >"$folder/look.py" <<'PY'
import asyncio, datetime, http.server, threading
import aiohttp_sse_client2.client, httpx, httpx_sse, requests, sseclient

CUT = b"data: one\n\ndata: unfin"  # the peer dies here
WHOLE = b"data: two\n\n"
calls = {}


class Server(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        calls[self.path] = calls.get(self.path, 0) + 1
        self.wfile.write(CUT if calls[self.path] == 1 else WHOLE)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"


def by_httpx():
    with httpx.Client() as client, httpx_sse.connect_sse(client, "GET", base + "/httpx") as source:
        return [event.data for event in source.iter_sse()]


def by_sseclient():
    answer = requests.get(base + "/sseclient", stream=True)
    return [event.data for event in sseclient.SSEClient(answer).events()]


async def by_aiohttp():
    soon = datetime.timedelta(milliseconds=10)
    found = []
    async with aiohttp_sse_client2.client.EventSource(base + "/aiohttp", reconnection_time=soon) as source:
        async for event in source:
            found.append(event.data)
            if len(found) == 2:
                return found


seen = {
    "httpx-sse 0.4.3": by_httpx(),
    "sseclient-py 1.9.0": by_sseclient(),
    "aiohttp-sse-client2 0.3.0": asyncio.run(asyncio.wait_for(by_aiohttp(), 60)),
}
for name, events in seen.items():
    print(f"{name}: {events}")
assert seen == {
    "httpx-sse 0.4.3": ["one"],
    "sseclient-py 1.9.0": ["one", "unfin"],
    "aiohttp-sse-client2 0.3.0": ["one", "unfin\ntwo"],
}, "this has changed"
PY
"$folder/venv/bin/python" "$folder/look.py"
echo "as described"
