"""The only module that knows gevent: greenlets, waiting, and the border to native threads.

The hub runs in one greenlet loop. SQLite's calls are C and would stop that loop, so they run in
native threads: see `batch_thread.py` for the one that writes.
"""

from __future__ import annotations

import contextlib
import logging
import select
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import gevent
from gevent import hub, monkey, subprocess, threadpool
from gevent.event import Event

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "DeadlineError",
    "Event",
    "HangUps",
    "LoopThread",
    "MustWaitError",
    "Popen",
    "Readable",
    "Signal",
    "ThreadedPool",
    "Waiter",
    "all_of",
    "deadline",
    "has_hung_up",
    "in_loop",
    "native_queue",
    "native_rlock",
    "native_sleep",
    "offload",
    "require_greenlet",
    "share_interpreter",
    "sleep",
    "spawn",
    "yield_if_starved",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")
Item = TypeVar("Item")

sleep: Final = gevent.sleep
spawn: Final = gevent.spawn
Popen: Final[Callable[..., Any]] = subprocess.Popen
"""A process whose pipes and end greenlets wait for."""
native_sleep: Final[Callable[[float], None]] = monkey.get_original("time", "sleep")
"""For native threads: `sleep` would make a loop for the thread."""
native_rlock: Final[Callable[[], Any]] = monkey.get_original("_thread", "RLock")
"""A lock between native threads and the loop: gevent's own, when it is contended from a native
thread, can be waited for for ever. Only for what never switches greenlets while it is held."""
native_queue: Final[Callable[[], Any]] = monkey.get_original("queue", "SimpleQueue")
"""A queue between native threads and the loop: the loop may put, and get what is there."""

_native_poll: Final = monkey.get_original("select", "poll")
_native_epoll: Final = monkey.get_original("select", "epoll")


class DeadlineError(Exception):
    """What `deadline` raises."""


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let this greenlet do something for so long, whatever it waits for.

    Raises:
        DeadlineError: the time is over.
    """
    with gevent.Timeout(seconds, DeadlineError):
        yield


def all_of(works: Sequence[Callable[[], T]]) -> list[T]:
    """Do things at the same time, each in its greenlet; answers their results in order.

    The first one that raises makes this raise, once all have ended.
    """
    started = [gevent.spawn(work) for work in works]
    gevent.joinall(started)
    return [one.get() for one in started]


def in_loop(call: Callable[[], object]) -> None:
    """Call something in the loop itself, in its next turn; it must not block."""
    gevent.get_hub().loop.run_callback(call)


class MustWaitError(Exception):
    """Something has to wait that was begun in the loop itself: begin it again in a greenlet."""


def require_greenlet() -> None:
    """Call it ahead of what waits, where the loop itself may come along.

    Raises:
        MustWaitError: this is the loop.
    """
    if gevent.getcurrent() is gevent.get_hub():
        raise MustWaitError


class Waiter(Generic[T]):
    """A result that one greenlet waits for and the loop sets.

    gevent's `Waiter` underneath switches straight to the greenlet. An `AsyncResult` would take
    another turn of the loop and cost twice as much.
    """

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: hub.Waiter[T] = hub.Waiter()

    def resolve(self, value: T) -> None:
        """Let the waiting greenlet go on with a value, now; call it in the loop itself."""
        self._waiter.switch(value)

    def fail(self, error: BaseException) -> None:
        """Let the waiting greenlet go on with an error, now; call it in the loop itself."""
        self._waiter.throw(error)

    def settle(self, found: T | Exception) -> None:
        """Let the waiting greenlet go on: an exception is raised there, all else is its result."""
        if isinstance(found, Exception):
            self._waiter.throw(found)
        else:
            self._waiter.switch(found)

    def wait(self) -> T:
        """Block this greenlet until the result is there; raises what `fail` was given."""
        return self._waiter.get()


class Signal:
    """Wakes the one greenlet that waits for it, if one does; it remembers nothing.

    A stream waits once per burst, and waiting for an `Event` costs three times as much.
    """

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: hub.Waiter[None] | None = None

    def give(self) -> None:
        """Let the waiting greenlet go on in the loop's next turn."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            gevent.get_hub().loop.run_callback(waiter.switch, None)

    def wait(self, timeout_s: float) -> None:
        """Block this greenlet until the next `give`, or until the time is over."""
        waiter: hub.Waiter[None] = hub.Waiter()
        self._waiter = waiter
        timer = gevent.get_hub().loop.timer(timeout_s)
        timer.start(waiter.switch, None)
        try:
            waiter.get()
        finally:
            self._waiter = None
            timer.close()


class Readable:
    """Waits until a descriptor can be read.

    gevent's `recv` first tries, which is wasted when the next bytes cannot be there yet, as with a
    client that waits for its answer. And a wait always lets the loop poll.
    """

    def __init__(self, descriptor: int) -> None:
        self._hub = gevent.get_hub()
        self._watcher = self._hub.loop.io(descriptor, 1)

    def wait(self) -> None:
        """Block this greenlet until there are bytes, or the end of the stream."""
        self._hub.wait(self._watcher)

    def close(self) -> None:
        """Stop watching; the descriptor stays open."""
        self._watcher.close()


class HangUps:
    """Tells, once per watched connection, that its peer has hung up or is gone.

    The loop's own watchers know only readable and writable: unread bytes would wake them for ever.
    So one epoll descriptor asks the kernel for the hang-ups of all connections, and the loop
    watches that one. A hang-up is seen even behind unread bytes, and with TLS, too.
    """

    def __init__(self) -> None:
        self._epoll = _native_epoll()
        self._tells: dict[int, Callable[[], object]] = {}
        self._watcher = gevent.get_hub().loop.io(self._epoll.fileno(), 1)
        self._watcher.start(self._look)

    def watch(self, peer: socket.socket, tell: Callable[[], object]) -> None:
        """Call `tell` in the loop when the peer hangs up; it must not block."""
        descriptor = peer.fileno()
        if descriptor < 0:
            tell()
            return
        self._tells[descriptor] = tell
        # EPOLLHUP and EPOLLERR are always reported
        self._epoll.register(descriptor, select.EPOLLRDHUP | select.EPOLLONESHOT)

    def forget(self, peer: socket.socket) -> None:
        """Stop watching a connection, before it is closed. Harmless when repeated."""
        if self._tells.pop(peer.fileno(), None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(peer.fileno())

    def _look(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            tell = self._tells.get(descriptor)
            if tell is not None:
                tell()


class LoopThread:
    """One native thread beside the loop, and the way back from it.

    Args:
        run: what the thread does; then it ends.
        rung: called in the loop after `ring`, once for rings that came together.
    """

    def __init__(self, run: Callable[[], None], *, rung: Callable[[], None]) -> None:
        self._wake = gevent.get_hub().loop.async_()
        self._wake.start(rung)
        self._pool = threadpool.ThreadPool(1)
        self._pool.spawn(run)

    def ring(self) -> None:
        """Have `rung` called in the loop; in any thread."""
        self._wake.send()

    def close(self) -> None:
        """Let go of the thread, which has ended; no ring after it."""
        self._wake.stop()
        self._wake.close()
        self._pool.kill()


class ThreadedPool(Generic[T]):
    """A few resources (database connections), each used by one native thread at a time.

    A greenlet that is killed leaves its thread at work: the resource is free when that is done.
    """

    def __init__(self, resources: Sequence[T]) -> None:
        self._threads = threadpool.ThreadPool(len(resources))
        self._free = list(resources)
        self._size = len(resources)
        self._waiting: deque[Waiter[T]] = deque()
        self._gone: set[Waiter[T]] = set()

    def run(self, work: Callable[[T], Item]) -> Item:
        """Run `work(resource)` in a native thread and answer its result; blocks the greenlet."""
        resource = self._take()
        working: Any = None
        try:
            working = self._threads.spawn(work, resource)
            found: Item = working.get()
            return found
        finally:
            if working is None or working.ready():
                self._give(resource)
            else:
                working.rawlink(lambda _: self._give(resource))

    def close(self, close: Callable[[T], None]) -> None:
        """Wait for all resources and close each."""
        for _ in range(self._size):
            close(self._take())
        self._threads.kill()

    def _take(self) -> T:
        if self._free:
            return self._free.pop()
        waiter: Waiter[T] = Waiter()
        self._waiting.append(waiter)
        try:
            return waiter.wait()
        except BaseException:
            self._gone.add(waiter)
            raise

    def _give(self, resource: T) -> None:
        """Hand it straight to the greenlet that has waited longest.

        If it were free for anyone, the greenlet that just gave it would take it again before the
        loop goes on: a few clients that read in a loop would shut out all others.
        """
        if self._waiting:
            gevent.get_hub().loop.run_callback(self._hand_over, self._waiting.popleft(), resource)
        else:
            self._free.append(resource)

    def _hand_over(self, waiter: Waiter[T], resource: T) -> None:
        if waiter in self._gone:
            self._gone.discard(waiter)
            self._give(resource)
        else:
            waiter.resolve(resource)


def has_hung_up(peer: socket.socket | None) -> bool:
    """Whether a peer has ended its side of a connection; reads nothing from it.

    The end is seen even behind unread bytes, and with TLS, too. A peer that only shuts down its
    writing side also counts as gone. Never blocks; takes a few microseconds. Without a socket
    nothing is known, and the peer counts as there.
    """
    if peer is None:
        return False
    descriptor = peer.fileno()
    if descriptor < 0:
        return True
    look = _native_poll()
    look.register(descriptor, select.POLLRDHUP)  # POLLHUP and POLLERR are always reported
    return bool(look.poll(0))


def offload(work: Callable[[], T]) -> T:
    """Run pure computation in a native thread; the greenlet waits, the loop goes on.

    It shares the interpreter lock with the loop, so all it gains is fairness: see
    `share_interpreter`.
    """
    return gevent.get_hub().threadpool.apply(work)


def share_interpreter() -> None:
    """Let threads take turns after 0.5 ms instead of Python's 5 ms.

    Otherwise a reader that turns a long page into objects stops the loop for 5 ms at a time.
    """
    sys.setswitchinterval(0.0005)


def yield_if_starved(last_iteration: int) -> int:
    """Let the loop poll its sockets, if it has not done so since `last_iteration`.

    Otherwise a keep-alive client that always has its next request ready would keep all others
    waiting, because its recv never blocks. `sleep(0)` is not enough: the loop runs up to 50
    chained callbacks before it polls. A timer, however short, makes it poll.

    Returns:
        The loop's present iteration, for the next call.
    """
    loop = gevent.get_hub().loop
    if loop.iteration == last_iteration:
        gevent.sleep(1e-6)
    return int(loop.iteration)
