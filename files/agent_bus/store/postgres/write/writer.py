"""The one writing connection of a hub: commands gather, commit together, are answered together.

A native thread owns the connection. When the primary is gone, it looks for the next one while
commands wait; when a commit's fate is unknown, it finds out on a new connection what became of the
batch, and runs it again if it is not there.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import psycopg

from agent_bus.core import errors
from agent_bus.core.latency import Histogram
from agent_bus.runtime.batch_thread import BatchThread
from agent_bus.runtime.greenlets import Waiter, in_loop, native_sleep
from agent_bus.store.group_commit import (
    BATCH_BOUNDS,
    COMMIT_BOUNDS_S,
    STOPPED,
    Outcome,
    hand_out,
)
from agent_bus.store.outgoing import Noting
from agent_bus.store.postgres.write.transaction import (
    Applied,
    Command,
    OtherTermError,
    Sign,
    Transaction,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.core.clock import Clock
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.link.primary import PrimaryLink
    from agent_bus.store.postgres.write.facts import Fact
    from agent_bus.store.postgres.write.transaction import Work

logger = logging.getLogger(__name__)

T = TypeVar("T")

PAUSE_S: Final = 0.2
"""Between two rounds over the hosts."""
HOPELESS_S: Final = 0.5
"""How long a batch may look for a primary when the one before it found none."""

ROWS_AT_ONCE: Final = 2_000
"""Rows in one transaction, which takes up to 0.1 s for them: messages to the whole fleet must not
let a batch take longer than a commit may, nor other hubs wait."""
STAMPS_KEPT: Final = 10_000
"""How many stamps wait for a primary; of those that come later, the times stay unknown."""
UNCONFIRMED: Final = "The database has not confirmed the commit in time"
GO_THROUGH: Final = "UPDATE head SET pos = pos WHERE term = %s"
MINE: Final = (
    "SELECT pos FROM change WHERE hub = %s AND batch = %s AND pos > %s ORDER BY pos LIMIT 1"
)


class Follower(Protocol):
    """Publishes what this hub and the others did, in one order."""

    def ask(self, connection: NativeConnection, after: int) -> Any:  # noqa: ANN401 - its own
        """Ask for the changes after a position, behind the lock and before the batch's own.

        None: it does not expect any. Runs in the writer's thread, with the batch's statements.
        """

    def before(
        self,
        connection: NativeConnection,
        asked: Any,  # noqa: ANN401 - its own
        *,
        after: int,
        until: int,
    ) -> list[Any]:
        """The changes with after < pos <= until; runs in the writer's thread after the commit."""

    def publish(
        self,
        pos: int,
        own: Sequence[Fact],
        earlier: list[Any] | None,
        *,
        tell: Callable[[], None],
        answer: Callable[[], None],
    ) -> None:
        """Tell of what others did before a batch, of the batch, and answer its callers.

        Runs in the loop; `earlier` is None when it could not be read.
        """


class Writer:
    """Runs commands in the writer thread, batch by batch.

    Args:
        link: the way to the primary; from here on used by the writer thread only.
        hub: this hub's name in `change`; of this process alone.
        patience_s: how long a batch may look for a primary; then its callers are refused.
    """

    def __init__(
        self, link: PrimaryLink, *, hub: str, clock: Clock, patience_s: float = 5.0
    ) -> None:
        self._link = link
        self._hub = hub
        self._clock = clock
        self._patience_s = patience_s
        self._last_pos = link.pos
        self._number = 0
        self._waiting = 0
        self._progressed = 0.0
        self._stamps: list[Any] = []
        self._is_hopeless = False
        self.trying_since: float | None = None
        """Since when (monotonic) no attempt to write was acknowledged; None: the last one was."""
        self.follower: Follower | None = None
        self.noting = Noting()
        self.batches = 0
        self.commands = 0
        self.batch_sizes = Histogram(BATCH_BOUNDS)
        self.commit_times = Histogram(COMMIT_BOUNDS_S)
        self.transaction_times = Histogram(COMMIT_BOUNDS_S)
        self._thread: BatchThread[Command] = BatchThread(self._handle, idle=lambda: None)

    def run(
        self,
        apply: Callable[[NativeConnection], T],
        *,
        committed: Callable[[T], None] | None = None,
        facts: Callable[[T], list[Fact]] | None = None,
    ) -> T:
        """Apply, commit, answer; blocks the greenlet until it is durable.

        `apply` runs alone in a savepoint of the batch; `facts` says what other hubs are told.
        """
        found: T = self.do(Applied(apply, facts), committed=committed)
        return found

    def do(self, work: Work, *, committed: Callable[[Any], None] | None = None) -> Any:  # noqa: ANN401 - each kind of work has its result
        """Commit work with others of its kind; blocks the greenlet until it is durable."""
        waiter: Waiter[Any] = Waiter()
        self.begin(Command(work, committed, waiter.settle))
        return waiter.wait()

    def post(self, work: Work, *, committed: Callable[[Any], None] | None = None) -> None:
        """Commit work some time soon; nobody waits."""
        self.begin(Command(work, committed, None))

    def begin(self, command: Command) -> None:
        """Queue a command; its `done` is called in the loop, whatever happens."""
        if not self._thread.submit(command):
            refused = Outcome(command, error=errors.NotReadyError(STOPPED))
            in_loop(refused.answer)
            return
        if not self._waiting:
            self._progressed = time.monotonic()
        self._waiting += 1

    @property
    def is_busy(self) -> bool:
        """Whether a batch is on its way or waits; known in the loop."""
        return self._waiting > 0

    def stands_still_s(self) -> float:
        """For how long commands have waited without any being answered; known in the loop."""
        return time.monotonic() - self._progressed if self._waiting else 0.0

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written now; None: it can."""
        return self._link.trouble

    def close(self) -> None:
        """Finish the waiting commands, end the thread, and close the connection."""
        self._thread.stop()
        self._link.close()

    def _handle(self, batch: Sequence[Command]) -> Callable[[], None]:
        """Run a batch in the writer's thread; never raises, because that would end the thread."""
        told: list[_Told] = []
        for part in parts(batch):
            try:
                told += self._committed(part)
            except Exception as error:
                logger.exception("A batch of %d commands failed", len(part))
                told.append(_Told([Outcome(command, error=error) for command in part]))
        self.batches += 1
        self.batch_sizes.observe(len(batch))
        self.commands += len(batch)
        return lambda: self._hand_out(told)

    def _committed(self, batch: Sequence[Command]) -> list[_Told]:
        """Commit a batch, on the next primary if need be; refuse it when there is none."""
        deadline = time.monotonic() + (HOPELESS_S if self._is_hopeless else self._patience_s)
        if self.trying_since is None:
            self.trying_since = self._clock.monotonic()
        self._number += 1
        tried: list[Transaction] = []
        while True:
            try:
                within_s = max(deadline - time.monotonic(), HOPELESS_S)
                found = self._attempt(batch, tried, within_s)
            except (psycopg.OperationalError, OtherTermError) as error:
                self._link.lose(error)
                if time.monotonic() >= deadline:
                    self._is_hopeless = True
                    return [_refused(batch, is_unknown=bool(tried))]
                native_sleep(PAUSE_S)
                continue
            self._is_hopeless = False
            self.trying_since = None
            self._link.prove()
            if found is not None:
                return found

    def _attempt(
        self, batch: Sequence[Command], tried: list[Transaction], within_s: float
    ) -> list[_Told] | None:
        """Run a batch on the present primary, or find it there.

        `tried` has the attempts so far whose commit may have happened; a new one is added.

        Returns:
            What became of it; None: look again.

        Raises:
            psycopg.OperationalError: the connection is lost, or there is no primary.
            OtherTermError: the primary is another one.
        """
        connection = self._link.connection(within_s)
        if tried:
            pos = self._pass(connection)
            if pos is not None:
                transaction = next((one for one in tried if one.pos == pos), tried[-1])
                transaction.found(connection, pos)
                logger.warning("A batch was committed though its answer was lost")
                return [self._told(connection, transaction)]
        transaction = Transaction(
            connection,
            batch,
            sign=Sign(self._hub, self._number, self._clock.now_ms()),
            ask=self._ask,
            noted=self.noting.kinds,
        )
        begun = time.perf_counter()
        try:
            transaction.run(self._link.term, is_sure=self._link.trouble is None)
        except psycopg.Error as error:
            if self._link.is_lost(error):
                if transaction.is_committing:
                    tried.append(transaction)
                raise psycopg.OperationalError(str(error).strip()) from error
            self._link.roll_back()
            if tried and isinstance(error, psycopg.errors.UniqueViolation):
                return None  # an attempt from before was slower than this one
            return self._each_alone(batch, error)
        except OtherTermError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails is the answer of one command
            self._link.roll_back()
            return self._each_alone(batch, error)
        self.commit_times.observe(transaction.commit_s)
        self.transaction_times.observe(time.perf_counter() - begun)
        return [self._told(connection, transaction)]

    def _each_alone(self, batch: Sequence[Command], error: Exception) -> list[_Told]:
        """After a batch failed for what one of its commands holds: each one by itself."""
        if len(batch) > 1:
            return [told for command in batch for told in self._committed([command])]
        if isinstance(error, psycopg.errors.DiskFull):
            error = errors.DiskFullError()
        return [_Told([Outcome(batch[0], error=error)])]

    def _pass(self, connection: NativeConnection) -> int | None:
        """Wait until all earlier commits are replicated; answers the pos of the present batch."""
        connection.execute("BEGIN")
        if connection.execute(GO_THROUGH, (self._link.term,)).rowcount != 1:
            raise OtherTermError
        row = connection.execute(MINE, (self._hub, self._number, self._last_pos)).fetchone()
        connection.execute("COMMIT")
        return None if row is None else int(row[0])

    def _ask(self, connection: NativeConnection) -> Any:  # noqa: ANN401 - the follower's
        return None if self.follower is None else self.follower.ask(connection, self._last_pos)

    def _told(self, connection: NativeConnection, transaction: Transaction) -> _Told:
        """The outcomes of a committed batch, after what others did before it."""
        pos = transaction.pos
        before, self._last_pos = self._last_pos, pos
        told = _Told(transaction.outcomes(), pos, transaction.facts)
        if self.follower is not None and pos != before + 1:
            try:
                told.earlier = self.follower.before(
                    connection, transaction.asked, after=before, until=pos - 1
                )
            except psycopg.Error as error:
                told.earlier = None
                self._link.lose(error)
                logger.warning("What other hubs did could not be read: %s", str(error).strip())
        return told

    def _hand_out(self, told: Sequence[_Told]) -> None:
        self._waiting -= sum(len(one.outcomes) for one in told)
        self._progressed = time.monotonic()
        for one in told:
            if one.pos == 0:
                hand_out(one.outcomes)
                self._keep_stamps(one.outcomes)
                continue
            self._write_stamps()
            if self.follower is None:
                hand_out(one.outcomes)
            else:
                self.follower.publish(
                    one.pos, one.facts, one.earlier, tell=one.tell, answer=one.answer
                )

    def _keep_stamps(self, refused: Sequence[Outcome]) -> None:
        """Nobody waits for them, so nobody would repeat them."""
        for one in refused:
            assert isinstance(one.command, Command)
            is_away = isinstance(one.error, (errors.NoPrimaryError, errors.CommitUnknownError))
            if is_away and isinstance(one.command.work, list):
                self._stamps += one.command.work[: STAMPS_KEPT - len(self._stamps)]

    def _write_stamps(self) -> None:
        if self._stamps:
            stamps, self._stamps = self._stamps, []
            self.post(stamps)


def parts(batch: Sequence[Command]) -> list[list[Command]]:
    """A batch as transactions of a bounded number of rows, in order."""
    found: list[list[Command]] = [[]]
    rows = 0
    for command in batch:
        rows += command.rows
        if rows > ROWS_AT_ONCE and found[-1]:
            found.append([])
            rows = command.rows
        found[-1].append(command)
    return found


@dataclass(slots=True)
class _Told:
    """Outcomes, and what the listener is told before them; `pos` is 0 when nothing was written."""

    outcomes: list[Outcome]
    pos: int = 0
    facts: Sequence[Fact] = ()
    earlier: list[Any] | None = field(default_factory=list)

    def tell(self) -> None:
        for outcome in self.outcomes:
            outcome.tell()

    def answer(self) -> None:
        for outcome in self.outcomes:
            outcome.answer()


def _refused(batch: Sequence[Command], *, is_unknown: bool) -> _Told:
    error = errors.CommitUnknownError(UNCONFIRMED) if is_unknown else errors.NoPrimaryError()
    return _Told([Outcome(command, error=error) for command in batch])
