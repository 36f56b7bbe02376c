"""`python -m tests.support.bad_peers PORT CURSOR`: all the peers that a hub would rather not have.

A separate process, so that their cost here does not slow down whoever measures. Seven peers ask
for n3's mail, from the start of the backlog or from CURSOR: two stopped readers, four that read
nothing (a test drops the packets of two of them), and one that reads one byte per second. Once
they are connected, the process says `ready`. Then it keeps opening streams of n1 and dropping them
at once. It ends with its stdin, and says how many it has dropped.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

from tests.support.patience import patience

HERE, VANISHING = "127.0.0.1", "127.0.0.2"
"""The addresses of the peers; packets from the second one are dropped."""
ACCEPTED = b"HTTP/1.1 200"
CHURN_INTERVAL_S = 0.02


def subscribe(port: int, token: str, *, cursor: str = "", source: str = HERE) -> socket.socket:
    """A stream's connection with a small buffer; only the first bytes have been read."""
    peer = socket.socket()
    peer.settimeout(patience())
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.bind((source, 0))
    peer.connect((HERE, port))
    lines = ["GET /api/stream HTTP/1.1", "Host: hub", f"Authorization: Bearer {token}"]
    lines += [f"Last-Event-ID: {cursor}"] if cursor else []
    peer.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = peer.recv(len(ACCEPTED), socket.MSG_WAITALL)
    if answer != ACCEPTED:
        raise SystemExit(f"refused: {answer!r}")
    return peer


def stopped_reader(port: int, cursor: str) -> int:
    """The id of a process that subscribed and was then stopped."""
    child = os.fork()
    if child == 0:
        peer = subscribe(port, "token-n3", cursor=cursor)
        os.kill(os.getpid(), signal.SIGSTOP)
        peer.close()
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    return child


def nibble(peer: socket.socket) -> None:
    """Read one byte per second."""
    pause = threading.Event()
    while not pause.wait(1):
        peer.recv(1)


def wait_for_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def main() -> None:
    port, cursor = int(sys.argv[1]), sys.argv[2]
    begins = ("", cursor)
    stopped = [stopped_reader(port, begin) for begin in begins]
    silent = [
        subscribe(port, "token-n3", cursor=begin, source=source)
        for begin in begins
        for source in (HERE, VANISHING)
    ]
    nibbled = subscribe(port, "token-n3", cursor=cursor)
    threading.Thread(target=nibble, args=(nibbled,), daemon=True).start()
    print("ready", flush=True)
    ended = threading.Event()
    threading.Thread(target=wait_for_end, args=(ended,), daemon=True).start()
    dropped = 0
    while not ended.wait(CHURN_INTERVAL_S):
        subscribe(port, "token-n1").close()
        dropped += 1
    for child in stopped:
        os.kill(child, signal.SIGKILL)
    for peer in silent:
        peer.close()
    print(dropped, flush=True)
    os._exit(0)  # the nibbler may be in the middle of a read


if __name__ == "__main__":
    main()
