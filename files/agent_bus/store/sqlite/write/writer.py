"""The one writing connection: commands gather, commit together, and are answered together.

A native thread owns the connection. It takes all waiting commands, applies those of one kind
together, all in one `BEGIN IMMEDIATE` transaction, commits (one fsync), and hands all results to
the loop at once, in order. A bad command rolls back its own savepoint and nothing else; a batch of
one kind does without savepoints until one of it fails.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import apsw

from agent_bus.core import errors
from agent_bus.core.latency import Histogram
from agent_bus.runtime.batch_thread import BatchThread
from agent_bus.runtime.greenlets import Waiter, in_loop, sleep, spawn
from agent_bus.store.group_commit import (
    BATCH_BOUNDS,
    COMMIT_BOUNDS_S,
    STOPPED,
    Outcome,
    hand_out,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")
Share = TypeVar("Share")

CHECKPOINT_IDLE_PAGES: Final = 1000
"""Checkpoint when nothing waits and the WAL has this many pages (4 MB, SQLite's default)."""
CHECKPOINT_BUSY_PAGES: Final = 8000
"""Checkpoint even under load past this (32 MB), so that the WAL cannot grow without bound."""
LAST_WORDS_S: Final = 0.5
"""Between an unknown commit and the end of the process: time to answer the callers."""


Together = Callable[[apsw.Connection, Sequence[Share]], Sequence[T | Exception]]
"""Applies commands of one kind, given their shares; answers their results in order.

An exception among them is that command's own failure. When the call itself raises, its changes are
rolled back, and each command is applied by a call of its own."""


def alone(
    connection: apsw.Connection, works: Sequence[Callable[[apsw.Connection], T]]
) -> Sequence[T]:
    """The kind of commands that are never applied together: their share is what they do."""
    return [work(connection) for work in works]


@dataclass(slots=True)
class Command(Generic[Share, T]):
    """One unit of work: its share of what its kind does together.

    `committed` and `done` are as in `group_commit.Answerable`.
    """

    share: Share
    together: Together[Share, T]
    committed: Callable[[T], None] | None = None
    done: Callable[[T | Exception], object] | None = None


AnyCommand = Command[Any, Any]
"""A command among others: a batch mixes all kinds of results."""


class Writer:
    """Runs commands in the writer thread, batch by batch.

    Args:
        connection: the writing connection; from here on used by the writer thread only.
        fatal: called in the loop, LAST_WORDS_S after a commit whose fate is unknown; must end the
            process. Until then nothing more is written.
        has_room: whether the disk has room for more than a last small write; called in any thread.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        fatal: Callable[[], None],
        has_room: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._fatal = fatal
        self._has_room = has_room
        self._wal_pages = 0
        self._is_lost = False
        self._is_full = False
        self._has_written = False
        self.batches = 0
        self.batch_sizes = Histogram(BATCH_BOUNDS)
        self.commit_times = Histogram(COMMIT_BOUNDS_S)
        self.transaction_times = Histogram(COMMIT_BOUNDS_S)
        self.commands = 0
        connection.set_wal_hook(self._on_wal)
        self._thread: BatchThread[AnyCommand] = BatchThread(
            self._handle, idle=self._checkpoint_when_idle
        )

    def run(
        self,
        apply: Callable[[apsw.Connection], T],
        *,
        committed: Callable[[T], None] | None = None,
    ) -> T:
        """Apply, commit, answer; blocks the greenlet until it is durable."""
        waiter: Waiter[T] = Waiter()
        self.begin(Command(apply, alone, committed, waiter.settle))
        return waiter.wait()

    def post(self, apply: Callable[[apsw.Connection], None]) -> None:
        """Apply and commit some time soon; nobody waits."""
        self.begin(Command(apply, alone))

    def begin(self, command: AnyCommand) -> None:
        """Queue a command; its `done` is called in the loop, whatever happens."""
        if not self._thread.submit(command):
            refused = Outcome(command, error=errors.NotReadyError(STOPPED))
            in_loop(refused.answer)

    @property
    def is_lost(self) -> bool:
        """Whether a commit's fate is unknown; then nothing more is written."""
        return self._is_lost

    def close(self) -> None:
        """Finish the waiting commands, then end the thread. The connection stays open."""
        self._thread.stop()

    def _handle(self, batch: Sequence[AnyCommand]) -> Callable[[], None]:
        """Run a batch in the writer's thread; never raises, because that would end the thread."""
        if self._is_lost:
            return self._refuse(batch)
        try:
            outcomes = self._outcomes(batch)
        except _CommitFailedError as error:
            logger.critical("The disk failed during a commit: %s", error.__cause__)
            self._is_lost = True
            refuse = self._refuse(batch)

            def give_up() -> None:
                refuse()
                spawn(self._end)

            return give_up
        except Exception as error:
            logger.exception("A batch of %d commands failed", len(batch))
            outcomes = [Outcome(command, error=error) for command in batch]
        self.batches += 1
        self.batch_sizes.observe(len(batch))
        self.commands += len(batch)
        if self._wal_pages >= CHECKPOINT_BUSY_PAGES:
            self._checkpoint()
        return lambda: hand_out(outcomes)

    def _outcomes(self, batch: Sequence[AnyCommand]) -> list[Outcome]:
        """Commit a batch as a whole or, when the disk is too full for that, one by one.

        Raises:
            _CommitFailedError: what is on the disk is unknown.
        """
        self._has_written = False
        try:
            outcomes = self._transaction(batch)
        except apsw.FullError:
            outcomes = [self._alone(command) for command in batch]
        is_full = any(isinstance(o.error, errors.DiskFullError) for o in outcomes)
        if is_full != self._is_full and (is_full or (self._has_written and self._has_room())):
            self._is_full = is_full
            logger.warning("The disk is full" if is_full else "The disk has room again")
        return outcomes

    def _alone(self, command: AnyCommand) -> Outcome:
        try:
            return self._transaction([command])[0]
        except apsw.FullError:
            return Outcome(command, error=errors.DiskFullError())

    def _refuse(self, batch: Sequence[AnyCommand]) -> Callable[[], None]:
        outcomes = [Outcome(command, error=errors.CommitUnknownError()) for command in batch]
        return lambda: hand_out(outcomes)

    def _end(self) -> None:
        sleep(LAST_WORDS_S)
        self._fatal()

    def _transaction(self, batch: Sequence[AnyCommand]) -> list[Outcome]:
        groups = _groups(batch)
        begun = time.perf_counter()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            outcomes = self._applied(groups)
        except BaseException:
            self._roll_back()
            raise
        if not self._connection.in_transaction:
            return outcomes  # the only command failed
        started = time.perf_counter()
        try:
            self._connection.execute("COMMIT")
        except apsw.FullError:
            self._roll_back()
            raise
        except apsw.Error as error:
            raise _CommitFailedError from error
        ended = time.perf_counter()
        self.commit_times.observe(ended - started)
        self.transaction_times.observe(ended - begun)
        return outcomes

    def _applied(self, groups: Sequence[Sequence[AnyCommand]]) -> list[Outcome]:
        """Apply a batch. One kind alone needs no savepoint: it fails with the transaction."""
        if len(groups) == 1:
            try:
                return self._together(groups[0])
            except apsw.FullError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever fails is the answer of one command
                self._roll_back()
                if len(groups[0]) == 1:
                    return [Outcome(groups[0][0], error=error)]
                self._connection.execute("BEGIN IMMEDIATE")
                groups = [[command] for command in groups[0]]
        return [outcome for group in groups for outcome in self._guarded(group)]

    def _together(self, group: Sequence[AnyCommand]) -> list[Outcome]:
        """Apply commands of one kind by one call."""
        shares = [command.share for command in group]
        results = group[0].together(self._connection, shares)
        return [_outcome(*one) for one in zip(group, results, strict=True)]

    def _guarded(self, group: Sequence[AnyCommand]) -> list[Outcome]:
        """Apply commands of one kind in a savepoint; if that fails, one by one."""
        execute = self._connection.execute
        execute("SAVEPOINT command")
        try:
            outcomes = self._together(group)
        except apsw.FullError:
            raise
        except Exception as error:
            if not self._connection.in_transaction:
                raise  # SQLite itself rolled the whole transaction back
            execute("ROLLBACK TO command")
            execute("RELEASE command")
            if len(group) > 1:
                return [outcome for one in group for outcome in self._guarded([one])]
            return [Outcome(group[0], error=error)]
        execute("RELEASE command")
        return outcomes

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _on_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        self._has_written = True
        return 0

    def _checkpoint_when_idle(self) -> None:
        if self._wal_pages >= CHECKPOINT_IDLE_PAGES:
            self._checkpoint()

    def _checkpoint(self) -> None:
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            logger.warning("A checkpoint failed and will be tried again: %s", error)
        self._wal_pages = 0


def _groups(batch: Sequence[AnyCommand]) -> list[list[AnyCommand]]:
    """A batch by kinds, in the order in which it is applied and told.

    All of it came while another batch was on its way, so nobody waited for one of them to send
    another: what is applied together goes first, the rest one by one behind it.
    """
    kinds: dict[Any, list[AnyCommand]] = {}
    singles = []
    for command in batch:
        if command.together is alone:
            singles.append([command])
        else:
            kinds.setdefault(command.together, []).append(command)
    return [*kinds.values(), *singles]


def _outcome(command: AnyCommand, result: object) -> Outcome:
    if isinstance(result, Exception):
        return Outcome(command, error=result)
    return Outcome(command, result)


class _CommitFailedError(Exception):
    """COMMIT failed, and not because the disk is full: what is on it is unknown."""
