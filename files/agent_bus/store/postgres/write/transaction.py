"""One batch in one transaction: lock `head`, look up, decide, write, commit.

`head` is locked by a statement of its own. A statement that had to wait for the lock would go on
with the snapshot from before it; the next statement sees all earlier batches, of all hubs. The
lock is held until the commit is replicated, so the order of pos and seq is the order of commits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg

from agent_bus.store import rows
from agent_bus.store.group_commit import Outcome
from agent_bus.store.postgres.write import facts
from agent_bus.store.postgres.write.acks import Ack, Acks
from agent_bus.store.postgres.write.at_once import SendsAtOnce
from agent_bus.store.postgres.write.facts import Fact, encoded
from agent_bus.store.postgres.write.fetches import Fetch, Fetches
from agent_bus.store.postgres.write.sends import Send, Sends
from agent_bus.store.postgres.write.stamps import Stamps

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from agent_bus.core.model import AgentName, Stamp
    from agent_bus.core.states import WebhookEvent
    from agent_bus.store.postgres.link.connections import NativeConnection

TAKE: Final = "UPDATE head SET pos = pos + 1 WHERE term = %s RETURNING pos, seq"
KEEP_CHANGE: Final = (
    "INSERT INTO change (pos, hub, batch, at, facts, boxes) VALUES (%s, %s, %s, %s, %s,"
    " (SELECT json_agg(json_build_array(agent, unfetched, unread, last_seq)) FROM mailbox"
    " WHERE agent = ANY(%s)))"
)
LOCK: Final = "SELECT pos FROM head WHERE term = %s FOR UPDATE"
SENT_BY: Final = "SELECT facts FROM change WHERE pos = %s"
APPLIED_PATIENCE_S: Final = 30.0
"""For one statement of a command by itself: a sweep may touch thousands of rows."""
MAILBOXES: Final = f"SELECT {rows.MAILBOX_COLUMNS} FROM mailbox WHERE agent = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Applied:
    """What one command does by itself, and what other hubs are told of its result.

    `is_quick` says that it touches few rows, so that no answer means that there is no connection.
    """

    apply: Callable[[NativeConnection], Any]
    facts: Callable[[Any], list[Fact]] | None = None
    is_quick: bool = False


Work = Send | Ack | Fetch | list[Any] | Applied
"""A command's share of the batch; a list has stamps."""


@dataclass(slots=True)
class Command:
    """One unit of work, and what follows in the loop: see `group_commit.Answerable`."""

    work: Work
    committed: Callable[[Any], None] | None
    done: Callable[[Any], object] | None

    @property
    def rows(self) -> int:
        """About how many rows it touches."""
        match self.work:
            case Send(draft=draft):
                return 1 + len(draft.recipients)
            case Ack(ids=ids):
                return len(ids)
            case Fetch(seqs=seqs):
                return len(seqs)
            case list():
                return len(self.work)
        return 1


@dataclass(frozen=True, slots=True)
class Sign:
    """How a batch is known again: its hub, its number there, which it keeps when run again."""

    hub: str
    batch: int
    at: int


class OtherTermError(Exception):
    """Another primary has taken over, or this connection leads to a deposed one."""


class UnknownFateError(psycopg.OperationalError):
    """The database warned during the commit: it is visible, but perhaps not replicated."""


class Transaction:
    """A batch, run once; `outcomes` are in the order of the listener's calls.

    Args:
        ask: asks for more, behind the lock.
        noted: which stamps are noted for webhooks.

    Attributes:
        pos: its number, once the lock is held.
        asked: what `ask` answered.
        is_committing: whether the commit may have been sent.
    """

    def __init__(
        self,
        connection: NativeConnection,
        commands: Sequence[Command],
        *,
        sign: Sign,
        ask: Callable[[NativeConnection], Any] = lambda _: None,
        noted: Collection[WebhookEvent] = (),
    ) -> None:
        self._connection = connection
        self._sign = sign
        self._ask = ask
        self.asked: Any = None
        kinds: dict[type, list[Command]] = {}
        for command in commands:
            kinds.setdefault(type(command.work), []).append(command)
        self._stamps = kinds.get(list, [])
        self._send_commands = kinds.get(Send, [])
        self._ack_commands = kinds.get(Ack, [])
        self._fetch_commands = kinds.get(Fetch, [])
        self._applied = kinds.get(Applied, [])
        stamps: list[Stamp] = [stamp for one in self._stamps for stamp in _work(one, list)]
        self._stamping = Stamps(stamps, noted) if stamps else None
        self._sends = Sends([_work(one, Send) for one in self._send_commands])
        self._fetches = Fetches([_work(one, Fetch) for one in self._fetch_commands])
        self._acks = Acks([_work(one, Ack) for one in self._ack_commands], noted)
        is_plain = self._send_commands and not (
            self._ack_commands or self._fetch_commands or self._applied
        )
        sends = [_work(one, Send) for one in self._send_commands]
        self._at_once = SendsAtOnce(sends) if is_plain and SendsAtOnce.can(sends) else None
        self._others: list[Outcome] = []
        self._facts: list[Fact] = []
        self._begun = 0.0
        self.pos = 0
        self.is_committing = False
        self.commit_s = 0.0

    def run(self, term: int, *, is_sure: bool = True) -> None:
        """Commit the batch.

        `is_sure` says that the primary answered the last batch. If it did not, the commit is sent
        only once the lock is held: so a batch that never got that far is known not to be there.

        Raises:
            OtherTermError: nothing was written.
            UnknownFateError: the commit may not be replicated.
            psycopg.Error: if `is_committing`, it may have been committed.
        """
        connection = self._connection
        connection.warnings.clear()
        if is_sure and self._at_once is not None and self._store_at_once(self._at_once, term):
            return
        self._at_once = None
        with connection.pipeline():
            self._decide(term)
            for step in (self._sends, self._fetches, self._acks):
                step.write(connection)
                self._facts += step.facts()
            if not self._applied:
                self._commit()
        if self._applied:
            self._others = [self._apply(command) for command in self._applied]
            with connection.pipeline():
                self._commit()
        self._acknowledge()
        for step in (self._sends, self._fetches, self._acks):
            step.finish(None)

    @property
    def facts(self) -> Sequence[Fact]:
        """What other hubs are told of it."""
        return self._facts

    def found(self, connection: NativeConnection, pos: int) -> None:
        """Complete the results of a batch that was committed though no answer came."""
        self.pos = pos
        self.asked = None
        if self._at_once is not None:
            (told,) = connection.execute(SENT_BY, (pos,)).fetchone() or ("[]",)
            sent = facts.decoded(told)
            touched = list({agent for fact in sent for agent in facts.touched(fact)})
            boxes = rows.mailboxes(connection.execute(MAILBOXES, (touched,)))
            self._at_once.settle(sent[0][1] - 1, boxes)
            self._facts = sent
            return
        for step in (self._sends, self._fetches, self._acks):
            agents: list[AgentName] = list(step.counted())
            step.finish(rows.mailboxes(connection.execute(MAILBOXES, (agents,))))

    def outcomes(self) -> list[Outcome]:
        """What became of each command."""
        found = [Outcome(command) for command in self._stamps]
        for commands, step in (
            (self._send_commands, self._at_once or self._sends),
            (self._fetch_commands, self._fetches),
            (self._ack_commands, self._acks),
        ):
            found += [
                _outcome(command, result)
                for command, result in zip(commands, step.results, strict=True)
            ]
        return found + self._others

    def _store_at_once(self, sends: SendsAtOnce, term: int) -> bool:
        """Store sends in one exchange; False when one has to be looked at."""
        connection, sign = self._connection, self._sign
        self._begun = time.perf_counter()
        with connection.pipeline():
            connection.execute("BEGIN")
            locked = connection.execute(LOCK, (term,))
            self.asked = self._ask(connection)
            if self._stamping is not None:
                self._stamping.write(connection)
            sends.write(connection, term=term, hub=sign.hub, batch=sign.batch, at=sign.at)
            self.is_committing = True
            connection.execute("COMMIT")
        self._acknowledge()
        if locked.fetchone() is None:
            raise OtherTermError
        pos = sends.stored()
        if pos is None:
            self.is_committing = False
            return False
        self.pos = pos
        self._facts = sends.facts()
        return True

    def _acknowledge(self) -> None:
        """The commit was answered.

        Raises:
            UnknownFateError: with a warning.
        """
        self.commit_s = time.perf_counter() - self._begun
        if self._connection.warnings:
            raise UnknownFateError(self._connection.warnings[0])

    def _decide(self, term: int) -> None:
        connection = self._connection
        connection.execute("BEGIN")
        taken = connection.execute(TAKE, (term,))
        self.asked = self._ask(connection)
        if self._stamping is not None:
            self._stamping.write(connection)
        for commands, step in (
            (self._send_commands, self._sends),
            (self._fetch_commands, self._fetches),
            (self._ack_commands, self._acks),
        ):
            if commands:
                step.ask(connection)
        head = taken.fetchone()
        if head is None:
            raise OtherTermError
        self.pos, seq = head
        if self._send_commands:
            self._sends.decide(connection, seq)
        if self._fetch_commands:
            self._fetches.decide()
        if self._ack_commands:
            self._acks.decide(self._fetches.newly)

    def _commit(self) -> None:
        self._begun = time.perf_counter()
        sign = self._sign
        touched = {agent for fact in self._facts for agent in facts.touched(fact)}
        change = (self.pos, sign.hub, sign.batch, sign.at, encoded(self._facts), [*touched])
        self._connection.execute(KEEP_CHANGE, change)
        self.is_committing = True
        self._connection.execute("COMMIT")

    def _apply(self, command: Command) -> Outcome:
        """Run one command in a savepoint; whatever fails is its answer, unless all is lost."""
        work = _work(command, Applied)
        connection = self._connection
        connection.execute("SAVEPOINT command")
        patience_s = connection.patience_s
        if not work.is_quick:
            connection.patience_s = APPLIED_PATIENCE_S
        try:
            outcome = Outcome(command, work.apply(connection))
        except Exception as error:
            if connection.broken or connection.closed:
                raise
            connection.execute("ROLLBACK TO command")
            outcome = Outcome(command, error=error)
        finally:
            connection.patience_s = patience_s
        connection.execute("RELEASE command")
        if outcome.error is None and work.facts is not None:
            self._facts += work.facts(outcome.result)
        return outcome


def _work(command: Command, kind: type[Any]) -> Any:  # noqa: ANN401 - of that very kind
    assert isinstance(command.work, kind)
    return command.work


def _outcome(command: Command, result: object) -> Outcome:
    if isinstance(result, Exception):
        return Outcome(command, error=result)
    return Outcome(command, result)
