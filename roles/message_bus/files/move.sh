#!/bin/sh
# Moves this hub from its SQLite file to PostgreSQL: move.sh FOLDER RELEASE [--replace]
# FOLDER has the settings and the unit to come. Until the settings are renamed, the old ones count, and the file is only
# read: whatever fails, the bus goes on with it. Writes report.json, or what went wrong into words.
set -u
next=$1 release=$2
shift 2
root=${MOVE_ROOT-} # of a test
home=$root/opt/agent-bus state=$root/var/lib/agent-bus-hub etc=$root/etc/agent-bus
unit=$root/etc/systemd/system/agent-bus.service
database=$state/bus.db
began=
rm -f "$next/report.json" "$next/words"

now_ms() { echo $(($(date +%s%N) / 1000000)); }

admin() {
    PYTHONPATH=$home/releases/$release "$home/releases/$release/venv/bin/python" -m agent_bus admin --json "$@"
}

give_up() {
    echo "$1" >>"$next/words"
    systemctl start agent-bus.service
    echo "The bus goes on with its SQLite file. It was away for $((($(now_ms) - began + 999) / 1000)) s." >>"$next/words"
    exit 1
}

# A copy beside it and a rename: whoever reads it sees the old text or the new one.
put() {
    cp -p "$1" "$2.new" && sync "$2.new" && mv -T "$2.new" "$2"
}

# The settings come last: they alone say which database counts.
switch_to() {
    put "$1/agent-bus.service" "$unit" &&
        ln -sfn "releases/$2" "$home/current.new" && mv -T "$home/current.new" "$home/current" &&
        sync "$unit" "${unit%/*}" "$home" &&
        put "$1/hub.json" "$etc/hub.json" && sync "$etc" &&
        systemctl daemon-reload
}

is_ready() {
    tries=0
    while [ "$tries" -lt 60 ]; do
        admin stats >"$next/stats.json" 2>>"$next/words" && return 0
        tries=$((tries + 1))
        sleep 0.5
    done
    return 1
}

# Only if PostgreSQL has taken no message is the file still all there is.
return_to_file() {
    systemctl stop agent-bus.service
    if admin --config "$next/hub.json" import-sqlite "$database" --only-compare >/dev/null 2>>"$next/words" &&
        switch_to "$next/before" "$before"; then
        give_up "$1"
    fi
    echo "$1 It has taken messages there, so it stays with PostgreSQL." >>"$next/words"
    exit 1
}

before=$(basename "$(readlink "$home/current")")
rm -rf "$next/before"
mkdir -m 0700 "$next/before" && cp -p "$unit" "$etc/hub.json" "$next/before/" || exit 1

began=$(now_ms)
systemctl stop agent-bus.service || give_up "The bus could not be stopped."
admin --config "$next/hub.json" import-sqlite "$database" "$@" >"$next/moved.json" 2>"$next/words" ||
    give_up "PostgreSQL could not be filled."
filled=$(now_ms)
switch_to "$next" "$release" || { switch_to "$next/before" "$before"; give_up "The settings could not be put in place."; }
systemctl start agent-bus.service || return_to_file "The bus did not start with PostgreSQL."
is_ready || return_to_file "The bus did not become ready with PostgreSQL."
ended=$(now_ms)
stamp=$(date -u +%Y%m%dT%H%M%SZ)
for suffix in "" -wal -shm; do
    [ ! -e "$database$suffix" ] || mv "$database$suffix" "$database.before-$stamp$suffix"
done
printf '{"moved": %s, "away_ms": %d, "filling_ms": %d, "file": "%s"}\n' \
    "$(cat "$next/moved.json")" $((ended - began)) $((filled - began)) "$database.before-$stamp" >"$next/report.part"
mv "$next/report.part" "$next/report.json"
