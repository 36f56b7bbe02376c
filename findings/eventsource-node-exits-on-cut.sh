#!/usr/bin/env bash
# npm eventsource 5.1.5 on Node: a program that only listens to a stream ends with exit code 0 as soon as the server closes it,
# instead of connecting again. The timer of the reconnect does not keep the process alive. With any other timer of the
# program's own running, it reconnects and sends Last-Event-ID.
# Why it matters: a listener dies silently, and as a success, at the server's first restart; a supervisor with
# Restart=on-failure leaves it dead.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --prefix . eventsource@5.1.5
cat >server.mjs <<'JS'
import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
let count = 0;
createServer((request, answer) => {
  count += 1;
  answer.writeHead(200, { "Content-Type": "text/event-stream" });
  answer.end(`retry: 50\nid: ${count}\ndata: after ${request.headers["last-event-id"] ?? "nothing"}\n\n`);
}).listen(0, "127.0.0.1", function () {
  writeFileSync("port", String(this.address().port));
});
JS
cat >client.mjs <<'JS'
import { EventSource } from "eventsource";
const [port, how] = process.argv.slice(2);
const timer = how === "kept" ? setInterval(() => {}, 1000) : undefined;
const source = new EventSource(`http://127.0.0.1:${port}/`);
const seen = [];
source.onmessage = (event) => {
  seen.push(event.data);
  if (seen.length === 2) {
    source.close();
    clearInterval(timer);
  }
};
process.on("exit", (code) => console.log(`exit code ${code}, events: ${seen.join(", ")}`));
JS
node server.mjs & server=$!
until [ -s port ]; do sleep 0.1; done
plain=$(timeout 60 node client.mjs "$(<port)" plain)
count=$(timeout 60 node client.mjs "$(<port)" kept)
printf '%s\n' "node $(node --version), eventsource 5.1.5" "alone:              $plain" "with another timer: $count"
[ "$plain" = "exit code 0, events: after nothing" ] && [ "$count" = "exit code 0, events: after nothing, after 2" ] ||
    { echo "this has changed"; exit 1; }
echo "as described"
