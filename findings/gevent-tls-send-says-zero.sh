#!/usr/bin/env bash
# gevent 26.9.0: `send` on a non-blocking TLS socket (timeout 0) whose peer takes nothing returns 0
#   the standard library's raises SSLWantWriteError there, and gevent's own plain socket raises BlockingIOError;
#   gevent's `recv` in the same state does raise, SSLWantReadError
# Why it matters: code that waits for writability when `send` raises (as the standard library's page on non-blocking TLS
# says) never waits: it sends again at once, without end, and stops the loop. And a 0 looks like "nothing to write".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gevent==26.9.0 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$folder/key" -out "$folder/pem" -subj /CN=here -days 2 2>/dev/null
cat >"$folder/look.py" <<'PY'
import sys

if sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()
import socket
import ssl
import threading

server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(f"{sys.argv[3]}/pem", f"{sys.argv[3]}/key")
client = ssl.create_default_context(cafile=f"{sys.argv[3]}/pem")
ours, theirs = socket.socketpair()
if sys.argv[2] == "tls":
    ends = []
    shaking = threading.Thread(target=lambda: ends.append(client.wrap_socket(theirs, server_hostname="here")))
    shaking.start()
    ours = server.wrap_socket(ours, server_side=True)
    shaking.join()
ours.settimeout(0.0)


def outcome(call):
    try:
        return f"returns {call()}"
    except OSError as error:
        return f"raises {type(error).__name__}"


sent = "returns 1"
while sent.startswith("returns ") and sent != "returns 0":
    sent = outcome(lambda: ours.send(bytes(65536)))
print(f"send {sent}, recv {outcome(lambda: ours.recv(1))}")
PY
look() { "$folder/venv/bin/python" "$folder/look.py" "$1" "$2" "$folder"; }
std=$(look std tls) plain=$(look gevent plain) tls=$(look gevent tls)
printf '%s\n' "ssl:                  $std" "gevent without TLS:   $plain" "gevent with TLS:      $tls"
[ "$std" = "send raises SSLWantWriteError, recv raises SSLWantReadError" ] &&
    [ "$plain" = "send raises BlockingIOError, recv raises BlockingIOError" ] &&
    [ "$tls" = "send returns 0, recv raises SSLWantReadError" ] || { echo "this has changed"; exit 1; }
echo "as described"
