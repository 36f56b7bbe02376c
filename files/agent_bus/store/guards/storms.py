"""What the storm guard keeps: which storms are held, and whose wakes are withheld."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from agent_bus.core.model import AgentName

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent_bus.core.guards.storms.signals import Signal
    from agent_bus.core.guards.storms.withheld import HeldTimes
    from agent_bus.core.model import Seq

KEPT_MS: Final = 90 * 24 * 3600 * 1000
"""How long it is kept that a storm was held, and its deliveries: longer than anybody asks."""


@dataclass(frozen=True, slots=True)
class KeptStorm:
    """A storm that was held (times in ms); `released_at` is None while it is."""

    key: str
    signal: Signal
    agents: tuple[AgentName, ...]
    since_at: int
    held_at: int
    released_at: int | None = None


class HeldDelivery(NamedTuple):
    """A delivery that woke nobody when it came, because of the storm `key`."""

    seq: Seq
    agent: AgentName
    key: str
    held_at: int


class Storms(Protocol):
    """All calls block the greenlet; what writes is durable when it returns."""

    def keep(self, storm: KeptStorm) -> None:
        """Keep a held storm, in the place of an earlier one with its key."""

    def release(self, key: str, *, at: int) -> None:
        """Note that a storm is held no more, and let its deliveries go."""

    def note(self, held: Sequence[HeldDelivery], let_go: Sequence[Seq], *, at: int) -> None:
        """Note deliveries whose wakes are withheld, and others that are let go."""

    def held(self) -> list[KeptStorm]:
        """The storms that are held."""

    def newest(self, *, limit: int) -> list[KeptStorm]:
        """Storms that are or were held, the newest first."""

    def withheld(self) -> list[HeldDelivery]:
        """The deliveries that wait: not let go, and still counted as unfetched."""

    def unfetched(self, seqs: Sequence[Seq]) -> list[Seq]:
        """Which of these deliveries a mailbox still counts: not fetched, read or expired."""

    def times(self, seqs: Sequence[Seq]) -> dict[Seq, HeldTimes]:
        """When the wakes of some deliveries were withheld; those that never were are left out."""


COLUMNS: Final = "key, signal, agents, since_at, held_at, released_at"
"""Of the table of storms, as `kept` reads them."""


def kept(rows: Iterable[Sequence[Any]]) -> list[KeptStorm]:
    """Storms from rows of COLUMNS, the oldest first: there are few."""
    found = [
        KeptStorm(key, signal, tuple(map(AgentName, json.loads(agents))), *times)
        for key, signal, agents, *times in rows
    ]
    return sorted(found, key=lambda storm: storm.held_at)
