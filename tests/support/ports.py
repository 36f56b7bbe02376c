"""Ports for servers that a test starts, stops and starts again."""

from __future__ import annotations

import atexit
import random
import socket
from collections import deque
from pathlib import Path

LOWEST = 10_000
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
HELD_COUNT = 100
_held: deque[socket.socket] = deque()


@atexit.register
def _let_go() -> None:
    while _held:
        _held.popleft().close()


def free_port() -> int:
    """A TCP port of 127.0.0.1 where nobody listens, and that no other test takes.

    It is below the ports that the kernel gives to whoever asks for any, and it is marked as taken
    by a UDP socket of the same number, which this process holds for its next hundred ports.
    """
    above = int(EPHEMERAL.read_text().split()[0])
    while True:
        port = random.randrange(LOWEST, above)
        mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mark.bind(("127.0.0.1", port))
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            mark.close()
            continue
        _held.append(mark)
        if len(_held) > HELD_COUNT:
            _held.popleft().close()
        return port
