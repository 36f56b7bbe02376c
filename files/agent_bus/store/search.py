"""A page of the dashboard's search, over whatever tables a store keeps messages in.

Live and archived messages share one order of keys, so a page merges walks down the indexes of
both. A search for text looks through a bounded range at a time.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final, Protocol

from agent_bus.core.model import Found, SearchPage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_bus.core.model import AgentName, Message
    from agent_bus.core.slices import SearchSlice

SEARCH_SEQS: Final = 20_000
"""Seqs that one search for text looks through: about 20 ms with bodies of 1,000 bytes in SQLite.
The page says how far it has looked, and goes on from there."""


class Index(Protocol):
    """What a store answers, over live and archived messages together."""

    def highest(self) -> int:
        """The newest delivery's seq, 0 without one; no message's pk is above it."""

    def lowest(self) -> int:
        """The oldest message's pk, 1 without one."""

    def next_message(self, pk: int) -> tuple[int, int] | None:
        """(pk, created_at) of the message with this pk, or of the next one."""

    def walks(self, name: str, bindings: dict[str, Any]) -> list[list[tuple[Message, bool]]]:
        """Messages, newest first, each with whether it is archived; a list for each table."""

    def recipients(self, messages: Sequence[Message]) -> Mapping[int, dict[AgentName, bool]]:
        """First seq of a message -> recipient -> whether it has read the message."""


def page(index: Index, wanted: SearchSlice) -> SearchPage:
    """One page of what was found."""
    until, since, text, limit = wanted.until, wanted.since, wanted.text, wanted.limit
    upper = index.highest() + 1 if until is None else first_at(index, until)
    upper = upper if wanted.before is None else min(upper, wanted.before)
    floor = (index.lowest() if since is None else first_at(index, since)) - 1
    low = floor if text is None else max(floor, upper - SEARCH_SEQS - 1)
    bindings: dict[str, Any] = {
        "agent": wanted.agent,
        "pattern": None if text is None else pattern_of(text),
        "low": low,
        "before": upper,
        "limit": limit,
    }
    names = ("all",) if wanted.agent is None else ("sent", "received")
    walks = [walk for name in names for walk in index.walks(name, bindings)]
    merged = heapq.merge(*walks, key=lambda one: one[0].first_seq, reverse=True)
    distinct = {message.first_seq: (message, archived) for message, archived in merged}
    found = list(distinct.values())[:limit]
    full = len(found) == limit
    more = found[-1][0].first_seq if full else (low + 1 if low > floor else None)
    reached = None if full or more is None else index.next_message(more)
    recipients = index.recipients([message for message, _ in found])
    return SearchPage(
        messages=[Found(m, recipients[m.first_seq], is_archived) for m, is_archived in found],
        before=more,
        is_cut=not full and more is not None,
        reached_at=None if reached is None else reached[1],
    )


def pattern_of(text: str) -> str:
    r"""A LIKE pattern that finds `text` literally, with `%`, `_` and `\` in it."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def first_at(index: Index, at: int) -> int:
    """The pk of the first message created at or after a time; past the last when there is none.

    Messages are in the order of their commits, so their times grow, and halving finds the place
    without an index. Where the wall clock once jumped back, the place is off by that much.
    """
    low, high = 0, index.highest() + 1
    while low < high:
        middle = (low + high) // 2
        found = index.next_message(middle)
        if found is None or found[1] >= at:
            high = middle
        else:
            low = found[0] + 1
    return low
