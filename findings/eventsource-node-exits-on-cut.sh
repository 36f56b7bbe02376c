#!/usr/bin/env bash
# npm eventsource 5.1.5 on Node: a program that only listens to a stream ends with exit code 0 as soon as the server closes it,
# instead of connecting again: the timer of the reconnect no longer keeps the process alive. With any other timer of
# the program's own running, it reconnects and sends Last-Event-ID. 4.1.1 reconnects in both cases.
# Why it matters: a listener dies silently, and as a success, at the server's first restart; a supervisor with
# Restart=on-failure leaves it dead.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --prefix . eventsource@5.1.5 before@npm:eventsource@4.1.1
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
const [port, how, library] = process.argv.slice(2);
const { EventSource } = await import(library);
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
older=$(timeout 60 node client.mjs "$(<port)" plain before)
plain=$(timeout 60 node client.mjs "$(<port)" plain eventsource)
kept=$(timeout 60 node client.mjs "$(<port)" kept eventsource)
printf '%s\n' "node $(node --version)" "4.1.1:                          $older" "5.1.5:                          $plain" "5.1.5 and a timer of its own:  $kept"
[ "$older" = "exit code 0, events: after nothing, after 1" ] && [ "$plain" = "exit code 0, events: after nothing" ] &&
    [ "$kept" = "exit code 0, events: after nothing, after 4" ] || { echo "this has changed"; exit 1; }
echo "as described"
