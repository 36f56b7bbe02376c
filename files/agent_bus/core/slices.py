"""Which part of the stored mail a reader asks for: one value per query.

`limit` is the most rows of a page; each class says what its `after` or `before` is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_bus.core.model import AgentName


@dataclass(frozen=True, slots=True)
class InboxSlice:
    """Deliveries to `agent`, urgent first, oldest first within each priority.

    `after` is (rank, seq) of the last delivery of the page before. `rank` None means every rank,
    `thread` None every thread; with `unread` only what is not acked.
    """

    agent: AgentName
    limit: int
    unread: bool = True
    rank: int | None = None
    thread: str | None = None
    after: tuple[int, int] = (-1, 0)


@dataclass(frozen=True, slots=True)
class ReplaySlice:
    """Deliveries to these agents with after < seq <= until, in seq order."""

    agents: tuple[AgentName, ...]
    after: int
    until: int
    limit: int
    unread: bool = False


@dataclass(frozen=True, slots=True)
class HistorySlice:
    """Messages that `agent` (None: anybody) sent or received, by seq.

    `partner` is the other side; `since` and `until` are wall-clock ms; `after` is the first_seq
    of the last message of the page before.
    """

    limit: int
    agent: AgentName | None = None
    partner: AgentName | None = None
    thread: str | None = None
    since: int | None = None
    until: int | None = None
    archived: bool = False
    after: int | None = None
    ascending: bool = True


@dataclass(frozen=True, slots=True)
class SearchSlice:
    """Messages, live and archived, newest first, whose body or subject has `text` in it.

    `since` and `until` are wall-clock ms; `before` is where the page before ended.
    """

    limit: int
    agent: AgentName | None = None
    text: str | None = None
    since: int | None = None
    until: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class SweepBounds:
    """What a sweep may touch: mail that was read or archived this long ago, `limit` of each."""

    retain_read_ms: int
    retain_archive_ms: int
    limit: int
