"""What a store keeps for webhooks: events that wait to be delivered, and how each webhook fares.

The operator's channels are in the same queue, under names that no webhook can have.

A message's event is derived from its delivery: `feed` goes over the deliveries by a cursor, so a
send costs nothing. What is read or overdue is noted in the transaction that stamps it, and `feed`
takes it from there. An event is deleted only by `exchange`, after the receiver has taken it: a hub
that dies in between leads to a second delivery of the same event, never to none.

Times are steady ms (see `core/clock.py`) but where people read them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent_bus.core.model import AgentName, Delivery, Seq
    from agent_bus.core.states import WebhookEvent

FED_AT_ONCE: Final = 500
"""Deliveries, and stamps, that one `feed` goes over: a few milliseconds of the writer."""
MOVED_AT_ONCE: Final = 1000
"""Events that one `hasten` makes due, or that are given up at once."""
LONGEST_WAIT_MS: Final = 26 * 3600 * 1000
"""No event waits longer for its next attempt; if one does, the clock was set back."""

CURSOR: Final = "webhook_seq"
"""The key in `meta` of the newest delivery that `feed` went over."""


@dataclass(frozen=True, slots=True)
class Fed:
    """How many events each webhook got, and whether there may be more to go over."""

    added: dict[str, int]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that is due. `at` is when it happened (wall ms)."""

    pk: int
    kind: WebhookEvent
    at: int
    attempts: int
    queued_at: int
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an event: delivered or given up (`next_at` None), or tried again then.

    `is_attempt` is False for one that was not tried yet, because its time has not come. `told_at`
    (wall ms) notes for the message's timeline that the operator was told.
    """

    pk: int
    next_at: int | None
    is_attempt: bool = True
    told_at: int | None = None


@dataclass(frozen=True, slots=True)
class Telling:
    """The operator was told of a delivery: by which name of the queue, and when (wall ms)."""

    name: str
    seq: Seq
    at: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a round of deliveries says of a webhook; `failures` in a row, 0 after a success.

    `succeeded_at`, `failed_at`, `disabled_at` and `lost_at` (wall ms) are None where nothing
    changed. What was queued up to `given_up_before` (steady ms) is given up, some of it at a time.
    """

    delivered: int = 0
    dead: int = 0
    failures: int = 0
    held_until: int = 0
    succeeded_at: int | None = None
    failed_at: int | None = None
    error: str | None = None
    disabled_at: int | None = None
    lost_at: int | None = None
    given_up_before: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The next events, those first that have waited longest for their attempt.

    `next_at` is when the next one is due; None: none waits, or only a hand can help.
    """

    events: tuple[Waiting, ...]
    next_at: int | None
    failures: int
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class WebhookState:
    """How a webhook fares. `oldest_at` (steady ms): since when its oldest event waits.

    `dead` were given up after three days, `dropped` had no room. Times are wall ms elsewhere.
    """

    name: str
    pending: int
    oldest_at: int | None
    delivered: int
    dead: int
    dropped: int
    failures: int
    held_until: int
    succeeded_at: int | None
    failed_at: int | None
    error: str | None
    disabled_at: int | None
    lost_at: int | None


class Outgoing(Protocol):
    """Events for webhooks. All calls block the calling greenlet, never the loop."""

    def note(self, kinds: Iterable[WebhookEvent]) -> None:
        """Note stamps of these kinds from now on, each with its own transaction."""

    def adopt(self, names: Sequence[str]) -> None:
        """Keep these webhooks; others are forgotten with all that waits for them.

        With the first one, events begin: what was sent before is not told.
        """

    def feed(
        self,
        wanting: Callable[[WebhookEvent, AgentName], Sequence[str]],
        *,
        limit: int,
    ) -> Fed:
        """Go over what is new, and queue it for the webhooks that want it.

        Args:
            wanting: which webhooks an event of an agent concerns; called in the writer's thread.
            limit: how many events may wait for a webhook; the oldest ones make room.
        """

    def tellings(self, seqs: Sequence[Seq]) -> list[Telling]:
        """When the operator was told of these deliveries, oldest first."""

    def exchange(
        self, name: str, settled: Sequence[Settled], report: Report | None, *, take: int
    ) -> Taken:
        """Keep what became of events, and take up to `take` that are due."""

    def hasten(self, name: str) -> bool:
        """Let what waits for a webhook be due now, some of it; answers whether there is more.

        Ends what holds the webhook, and a disabled one is enabled.
        """

    def has_stamps(self) -> bool:
        """Whether stamps wait for `feed`."""

    def due(self) -> list[str]:
        """The webhooks that have something to deliver now; may be behind by a moment."""

    def states(self) -> list[WebhookState]:
        """All webhooks, by name."""


@dataclass(slots=True)
class Noting:
    """Which stamps are noted; shared by a store's writer and its `Outgoing`."""

    kinds: frozenset[WebhookEvent] = field(default_factory=frozenset)


def queued(
    found: Iterable[tuple[WebhookEvent, int, AgentName, int | None]],
    wanting: Callable[[WebhookEvent, AgentName], Sequence[str]],
) -> tuple[list[tuple[str, WebhookEvent, int, int | None]], dict[str, int]]:
    """The rows (webhook, kind, seq, at) of what was found, and how many each webhook gets."""
    rows = [
        (name, kind, seq, at) for kind, seq, agent, at in found for name in wanting(kind, agent)
    ]
    return rows, dict(Counter(row[0] for row in rows))
