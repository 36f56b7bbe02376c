#!/usr/bin/env bash
# npm @modelcontextprotocol/client 2.4.0 with `versionNegotiation: {mode: "auto"}` starts a stdio server twice: one process is
# asked `server/discover` and dropped, another does the work. By default (legacy) it starts one.
# Why it matters: a server that claims something when it starts (a lease, a queue's messages, a lock file) claims it twice, and
# the first claimant is gone a moment later. Nothing may be claimed before the first call that needs it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --prefix . @modelcontextprotocol/client@2.4.0
cat >server.py <<'PY'
import json, sys

heard = open(sys.argv[1], "a", buffering=1)
heard.write("started\n")
for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    heard.write(request["method"] + "\n")
    stamped = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    if request["method"] == "server/discover":
        answer["result"] = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, **stamped}
    elif request["method"] == "initialize":
        answer["result"] = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "counted", "version": "1"},
        }
    elif request["method"] == "tools/list":
        answer["result"] = {"tools": [{"name": "inbox", "inputSchema": {"type": "object"}}], **stamped}
    else:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
PY
cat >look.mjs <<'JS'
import { readFileSync } from "node:fs";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
for (const [name, options] of [["default", {}], ["auto", { versionNegotiation: { mode: "auto" } }]]) {
  const one = new Client({ name: "look", version: "1" }, options);
  await one.connect(new StdioClientTransport({ command: "python3", args: ["server.py", name] }));
  await one.listTools();
  await one.close();
  console.log(`${name}: ${readFileSync(name, "utf8").trim().split("\n").join(" ")}`);
}
JS
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "default: started initialize tools/list
auto: started server/discover started tools/list" ] || { echo "this has changed"; exit 1; }
echo "as described"
