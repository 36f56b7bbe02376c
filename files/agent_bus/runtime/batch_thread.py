"""Group commit's thread: a plain queue one way, and one wake-up per batch the other way."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from agent_bus.runtime.greenlets import Event, LoopThread, in_loop, native_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

BATCH_LIMIT: Final = 256
"""Items per batch: past it the first ones would wait long for the last ones."""


class BatchThread(Generic[Item]):
    """One native thread that takes what has gathered and handles it, batch by batch.

    While it handles a batch (for the writer: while the disk syncs), the next one gathers: group
    commit without any waiting time. What one turn of the loop submits is handed over as one list,
    which wakes the thread once. `handle` runs in the native thread and answers a callable, which
    runs in the loop: one wake-up per batch, however many wait.
    """

    def __init__(
        self,
        handle: Callable[[Sequence[Item]], Callable[[], None]],
        *,
        idle: Callable[[], None],
    ) -> None:
        self._handle = handle
        self._idle = idle
        self._gathered: list[Item] = []
        self._is_stopped = False
        self._inbox = native_queue()
        self._outbox = native_queue()
        self._done = Event()
        self._thread = LoopThread(self._run, rung=self._deliver)

    def submit(self, item: Item) -> bool:
        """Hand an item over at the end of this turn of the loop; in its thread, never blocks.

        False once the thread was stopped: then nothing becomes of the item.
        """
        if self._is_stopped:
            return False
        if not self._gathered:
            in_loop(self._hand_over)
        self._gathered.append(item)
        return True

    def stop(self) -> None:
        """Handle what was submitted, then end the thread; blocks this greenlet until then."""
        self._hand_over()
        self._is_stopped = True
        self._inbox.put([])
        self._done.wait(timeout=10)
        self._thread.close()

    def _hand_over(self) -> None:
        if self._gathered:
            self._inbox.put(self._gathered)
            self._gathered = []

    def _run(self) -> None:
        waiting: list[Item] = []
        while waiting or not (self._is_stopped and self._inbox.empty()):
            if not waiting:
                waiting = self._inbox.get()
            while len(waiting) < BATCH_LIMIT and not self._inbox.empty():
                waiting += self._inbox.get()
            batch, waiting = waiting[:BATCH_LIMIT], waiting[BATCH_LIMIT:]
            if batch:
                self._outbox.put(self._handle(batch))
                self._thread.ring()
            if not waiting and self._inbox.empty():
                self._idle()
        self._outbox.put(self._done.set)
        self._thread.ring()

    def _deliver(self) -> None:
        while not self._outbox.empty():
            try:
                self._outbox.get()()
            except Exception:
                logger.exception("The results of a batch could not be delivered")
