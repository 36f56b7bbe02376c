"""Accepts connections in the loop itself: none costs a greenlet before it needs one.

With `greenlets`, the only module that knows gevent. gevent's own server starts a greenlet per
connection. Here a connection is handed to a callback as a plain non-blocking socket. With TLS it
still gets its greenlet, which has to wait for the handshake.
"""

from __future__ import annotations

import _socket
from typing import TYPE_CHECKING, Any

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer

if TYPE_CHECKING:
    from collections.abc import Callable


class Places(Pool):
    """How many connections there may be, with a greenlet or without one.

    While all places are taken, nothing is accepted. gunicorn asks `free_count` whether all
    connections have ended.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._taken_count = 0
        self._free: Any = self._semaphore  # type: ignore[attr-defined] # gevent's servers use it, too

    def free_count(self) -> int:
        """How many more connections there may be."""
        return max(0, super().free_count() - self._taken_count)

    def take(self) -> None:
        """Take the place of a connection without a greenlet; there must be a free one."""
        self._free.acquire(blocking=False)
        self._taken_count += 1

    def give(self) -> None:
        """Give such a place back."""
        self._taken_count -= 1
        self._free.release()


class Acceptor(StreamServer):
    """Hands each accepted connection to `opened`, or to `handle` in a greenlet with TLS.

    Args:
        opened: gets a connection and the peer's address, in the loop; must not block. The place
            of the connection has been taken.
        handle: gets the same, in a greenlet of `places`, and may wait.
    """

    def __init__(
        self,
        listener: Any,  # noqa: ANN401 - gevent's socket
        *,
        places: Places,
        opened: Callable[[_socket.socket, Any], None],
        handle: Callable[[Any, Any], None],
        **tls: Any,  # noqa: ANN401 - gevent's own arguments
    ) -> None:
        super().__init__(listener, handle=handle, spawn=places, **tls)
        self._places = places
        self._opened = opened

    def do_read(self) -> Any:  # noqa: ANN401 - as gevent's own
        """Accept one connection; None when none waits."""
        if self.ssl_enabled:
            return super().do_read()
        listener: Any = self.socket
        try:
            descriptor, address = listener._accept()  # noqa: SLF001 - as gevent's own
        except BlockingIOError:
            return None
        client = _socket.socket(listener.family, listener.type, listener.proto, descriptor)
        client.setblocking(False)
        return client, address

    def do_handle(self, *args: Any) -> None:  # noqa: ANN401 - as gevent's own
        """Begin to serve it."""
        if self.ssl_enabled:
            super().do_handle(*args)
            return
        self._places.take()
        self._opened(*args)


class Readiness:
    """Tells in the loop when a descriptor can be read, or written; for what has no greenlet.

    The kernel is asked only when a watch begins and when it ends, not per request.
    """

    __slots__ = ("_watcher",)

    def __init__(self, descriptor: int, tell: Callable[[], object], *, writing: bool) -> None:
        self._watcher = gevent.get_hub().loop.io(descriptor, 2 if writing else 1)
        self._watcher.start(tell)

    def pause(self) -> None:
        """Tell nothing for now."""
        self._watcher.stop()

    def go_on(self, tell: Callable[[], object]) -> None:
        """Tell again, after a pause."""
        self._watcher.start(tell)

    def close(self) -> None:
        """Stop watching; the descriptor stays open. Call it before that is closed."""
        self._watcher.stop()
        self._watcher.close()
