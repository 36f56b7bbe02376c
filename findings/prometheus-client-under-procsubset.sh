#!/usr/bin/env bash
# prometheus-client 0.26.0 in a service with systemd's `ProcSubset=pid` (a /proc that is mounted with subset=pid): all process_* metrics
# are missing, without a warning. One of them, the start time, needs /proc/stat, which is hidden there; the
# collector then gives up the other five, too, although /proc/self has all that they need.
# Why it matters: a hardened unit loses its memory and file descriptor metrics, and an alert on them never fires.
# Needs root for a mount namespace of its own; nothing outside of it changes.
set -euo pipefail
[ "$(id -u)" -eq 0 ] || { echo "needs root"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check prometheus-client==0.26.0 2>/dev/null
cat >"$folder/look.py" <<'PY'
import os
import prometheus_client

lines = prometheus_client.generate_latest().decode().splitlines()
names = sorted(line.split()[0] for line in lines if line.startswith("process_"))
print(len(names), *names, "| open files are readable:", len(os.listdir("/proc/self/fd")) > 0)
PY
plain=$("$folder/venv/bin/python" "$folder/look.py")
hidden=$(unshare --mount sh -c 'mount -t proc -o subset=pid proc /proc && exec "$@"' _ "$folder/venv/bin/python" "$folder/look.py")
printf '%s\n' "ordinary /proc: $plain" "subset=pid:     $hidden"
[ "${plain%% *}" = 6 ] && [ "$hidden" = "0 | open files are readable: True" ] || { echo "this has changed"; exit 1; }
echo "as described"
