"""A hub's own way to PostgreSQL, which a test can cut: a socket that forwards to the server's."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = ".s.PGSQL.5432"


class DatabaseWay:
    """Forwards connections; once cut, it carries no byte any more and says nothing of it."""

    def __init__(self, url: str, folder: str) -> None:
        parts = urlsplit(url)
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path}?host={folder}"
        self._server = f"{parse_qs(parts.query)['host'][0]}/{NAME}"
        self._is_open = threading.Event()
        self._is_open.set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/{NAME}")
        self._listener.listen(64)
        self._ends: list[socket.socket] = []
        self._carry: list[threading.Event] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Carry nothing any more, as when the network is cut."""
        self._is_open.clear()

    def hang(self) -> None:
        """Carry nothing of the connections that are open; new ones are well."""
        for carries in self._carry:
            carries.clear()

    def mend(self) -> None:
        """Carry what waits, and all else."""
        self._is_open.set()
        for carries in self._carry:
            carries.set()

    def close(self) -> None:
        """Close everything."""
        self.mend()
        for one in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._server)
                self._ends += [near, far]
                carries = threading.Event()
                carries.set()
                self._carry.append(carries)
                for pair in ((near, far), (far, near)):
                    args = (*pair, carries)
                    threading.Thread(target=self._forward, args=args, daemon=True).start()

    def _forward(
        self, source: socket.socket, target: socket.socket, carries: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while some := source.recv(65536):
                self._is_open.wait()
                carries.wait()
                target.sendall(some)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def way_to(url: str) -> Iterator[DatabaseWay]:
    """A way to a database; its folder has a short path, as a socket's must be."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        way = DatabaseWay(url, folder)
        try:
            yield way
        finally:
            way.close()
