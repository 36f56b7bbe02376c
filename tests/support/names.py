"""Names and addresses in trouble: name servers for tests, and ports that swallow a SYN."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A, AAAA = 1, 28
INSIDE = (
    "mount --bind $0/resolv.conf /etc/resolv.conf && mount --bind $0/hosts /etc/hosts"
    ' && mount --bind $0/nsswitch.conf /etc/nsswitch.conf && exec "$@"'
)


@contextlib.contextmanager
def black_hole(host: str, port: int = 0) -> Iterator[int]:
    """A port that answers no SYN: its listener accepts nobody, and its queue is full."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        found: int = listener.getsockname()[1]

        def is_full() -> bool:
            peer = stack.enter_context(socket.socket(family))
            peer.settimeout(0.3)
            try:
                peer.connect((host, found))
            except TimeoutError:
                return True
            return False

        wait_until(is_full, "the listener's queue is full")
        yield found


@dataclass
class NameServer:
    """Answers the same for every name; types without an entry get no records.

    Attributes:
        addresses: type of record -> addresses, in their order.
        silent: types that get no answer at all.
    """

    ip: str
    addresses: dict[int, list[str]] = field(default_factory=dict)
    silent: set[int] = field(default_factory=set)
    asked: int = 0

    def serve(self, own: socket.socket) -> None:
        """Answer until an empty datagram comes."""
        while True:
            query, peer = own.recvfrom(4096)
            if not query:
                return
            self.asked += 1
            end = query.index(b"\0", 12) + 5
            kind = struct.unpack("!H", query[end - 4 : end - 2])[0]
            if kind not in self.silent:
                own.sendto(self._answer(query[:2], query[12:end], kind), peer)

    def _answer(self, identifier: bytes, question: bytes, kind: int) -> bytes:
        addresses = self.addresses.get(kind, [])
        family = socket.AF_INET6 if kind == AAAA else socket.AF_INET
        head = identifier + struct.pack("!HHHHH", 0x8580, 1, len(addresses), 0, 0)
        records = b"".join(
            struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(raw)) + raw
            for raw in (socket.inet_pton(family, one) for one in addresses)
        )
        return head + question + records


@contextlib.contextmanager
def name_server(**facts: object) -> Iterator[NameServer]:
    """A name server on a loopback address that only this process uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        ip = _bound(own)
        server = NameServer(ip, **facts)  # type: ignore[arg-type] # its fields
        thread = threading.Thread(target=server.serve, args=(own,))
        thread.start()
        try:
            yield server
        finally:
            own.sendto(b"", (ip, 53))
            thread.join()


def _bound(own: socket.socket) -> str:
    """Bind port 53 of an address that no other run has; return the address."""
    for number in range(os.getpid() * 8, os.getpid() * 8 + 8):
        ip = f"127.{1 + (number >> 16) % 200}.{(number >> 8) % 256}.{number % 256}"
        with contextlib.suppress(OSError):
            own.bind((ip, 53))
            return ip
    raise AssertionError(f"port 53 cannot be bound, also not on {ip}")


def asking(folder: Path, *servers: str, hosts: str = "", options: str = "") -> list[str]:
    """What to put before a command so that it asks these name servers.

    The command runs in a mount namespace of its own, which takes root.
    """
    folder.mkdir()
    lines = [*(f"nameserver {ip}" for ip in servers), f"options {options}" if options else ""]
    (folder / "resolv.conf").write_text("\n".join(lines) + "\n", encoding="ascii")
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}", encoding="ascii")
    (folder / "nsswitch.conf").write_text("hosts: files dns\npasswd: files\n", encoding="ascii")
    return ["unshare", "--mount", "sh", "-c", INSIDE, str(folder)]
