"""A real store on a real file in this process, and a listener that remembers its calls."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from agent_bus.core.model import AgentName, Draft, NodeName, Roster
from agent_bus.core.slices import InboxSlice
from agent_bus.runtime import greenlets
from agent_bus.store.postgres.link.address import Address
from agent_bus.store.postgres.postgres_store import PostgresStore
from agent_bus.store.sqlite.sqlite_store import SqliteStore
from tests.support import postgres
from tests.support.clock import FakeClock
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from agent_bus.core.clock import Clock
    from agent_bus.core.model import Acked, Agent, MailboxCounts, Sent
    from agent_bus.store.contract import Backend, Listener, Store

S = TypeVar("S", bound="Store")

ALPHA, BETA, GAMMA = AgentName("alpha"), AgentName("beta"), AgentName("gamma")
ROSTER = Roster(
    agents={ALPHA: NodeName("n1"), BETA: NodeName("n1"), GAMMA: NodeName("n2")},
    groups={"greeks": (ALPHA, BETA)},
    tokens={NodeName("n1"): ("1" * 64,), NodeName("n2"): ("2" * 64,)},
)


@dataclass
class Told:
    """A listener that only remembers."""

    sent: list[Sent] = field(default_factory=list)
    acked: list[Acked] = field(default_factory=list)
    mailboxes: list[MailboxCounts] = field(default_factory=list)
    rosters: list[Roster] = field(default_factory=list)

    def on_sent(self, sent: Sent) -> None:
        self.sent.append(sent)
        self.mailboxes.extend(sent.mailboxes)

    def on_acked(self, acked: Acked) -> None:
        self.acked.append(acked)
        self.mailboxes.extend(acked.mailboxes)

    def on_mailboxes(self, mailboxes: Sequence[MailboxCounts]) -> None:
        self.mailboxes.extend(mailboxes)

    def on_roster(self, roster: Roster, _agents: Sequence[Agent]) -> None:
        self.rosters.append(roster)


@contextlib.contextmanager
def opened(
    folder: Path,
    *,
    clock: Clock | None = None,
    listener: Listener | None = None,
    kind: type[SqliteStore] = SqliteStore,
    fatal: Any = None,
) -> Iterator[SqliteStore]:
    """A store in `folder`, closed at the end."""
    store = kind(
        folder / "bus.db",
        clock=clock or FakeClock(),
        readers=2,
        fatal=fatal or _never,
    )
    store.listen(listener or Told())
    try:
        yield store
    finally:
        store.close()


class Opener(Protocol):
    """Opens a backend in a folder, where it finds again what it kept there."""

    def __call__(
        self, folder: Path, *, clock: Clock | None = None, listener: Listener | None = None
    ) -> AbstractContextManager[Backend]: ...


@contextlib.contextmanager
def opened_postgres(
    folder: Path, *, clock: Clock | None = None, listener: Listener | None = None
) -> Iterator[PostgresStore]:
    """A store on the database of `folder`, closed at the end."""
    address = Address(postgres.database(folder))
    store = PostgresStore(address, clock=clock or FakeClock(), readers=2)
    store.listen(listener or Told())
    try:
        yield store
    finally:
        store.close()


BACKENDS: Final[dict[str, Opener]] = {"postgres": opened_postgres, "sqlite": opened}
"""Every implementation of the contract, by name: what joins here has to pass tests/conformance."""


def enrolled(store: S, roster: Roster = ROSTER) -> S:
    """The store, with a roster put."""
    store.put_roster(roster, force=True, dry_run=False)
    return store


def draft(to: str = "beta", body: str = "hello", **more: Any) -> Draft:
    """A message from alpha to one agent."""
    fields: dict[str, Any] = {"sender": ALPHA, "recipients": (AgentName(to),), "body": body}
    return Draft(**{**fields, **more})


def inbox(store: Store, agent: str, *, unread: bool = True, limit: int = 100) -> list[str]:
    """The bodies in an inbox, in its order."""
    page = store.inbox(InboxSlice(AgentName(agent), unread=unread, limit=limit))
    return [found.message.body for found in page]


def _never() -> None:
    raise AssertionError("the store gave the disk up")


def until(condition: Callable[[], object], what: str) -> None:
    """Let the loop run until something holds."""
    wait_until(condition, what, pause=greenlets.sleep)
