"""The thread that handles what has gathered."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from agent_bus.runtime import batch_thread, greenlets
from agent_bus.runtime.batch_thread import BatchThread
from tests.support.patience import patience
from tests.support.store import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pytest


class Batches:
    """Handles batches of numbers, not before `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.handled: list[list[int]] = []
        self.delivered: list[int] = []
        self.thread = BatchThread[int](self._handle, idle=lambda: None)

    def _handle(self, batch: Sequence[int]) -> Callable[[], None]:
        assert self.go.wait(patience())
        self.handled.append(list(batch))
        return lambda: self.delivered.extend(batch)


@contextlib.contextmanager
def started() -> Iterator[Batches]:
    batches = Batches()
    try:
        yield batches
    finally:
        batches.go.set()
        batches.thread.stop()


def test_what_one_turn_of_the_loop_submits_is_one_batch() -> None:
    with started() as batches:
        batches.go.set()
        for number in range(100):
            batches.thread.submit(number)
        until(lambda: len(batches.delivered) == 100, "all are delivered")
        assert batches.handled == [list(range(100))]


def test_what_comes_while_a_batch_is_handled_is_the_next_one() -> None:
    with started() as batches:
        batches.thread.submit(0)
        for number in range(1, 6):
            greenlets.sleep(0)
            batches.thread.submit(number)
        greenlets.sleep(0)
        batches.go.set()
        until(lambda: len(batches.delivered) == 6, "all are delivered")
        assert len(batches.handled) <= 3
        assert batches.delivered == list(range(6))


def test_a_batch_is_bounded_and_keeps_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_thread, "BATCH_LIMIT", 4)
    with started() as batches:
        batches.go.set()
        for number in range(10):
            batches.thread.submit(number)
        until(lambda: len(batches.delivered) == 10, "all are delivered")
        assert batches.handled == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_all_that_was_submitted_before_the_stop_is_handled_and_nothing_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_thread, "BATCH_LIMIT", 4)
    with started() as batches:
        batches.go.set()
        assert all(batches.thread.submit(number) for number in range(10))
    assert batches.delivered == list(range(10))
    assert not batches.thread.submit(10)
